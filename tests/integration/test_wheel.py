"""What is installed holds all that it reads of itself."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_every_file_of_its_packages(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = {path.relative_to(ROOT) for package in ("model", "service") for path in (ROOT / package).rglob("*")}
    wanted = {str(path) for path in files if (ROOT / path).is_file() and "__pycache__" not in path.parts}
    assert {"model/training/templates/report.html.jinja", "model/training/templates/palette.css"} <= wanted
    assert wanted <= packed
