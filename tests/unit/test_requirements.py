"""The locks agree: what two of them name is the same version in both, and each image's lock is a part of the next."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from model.cli.group import TRAINING_ONLY

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def pins(lock: str) -> set[str]:
    return set(
        re.findall(r"^([a-z0-9-]+==[^ ]+(?: ; [^\\]+)?) ", (REQUIREMENTS / f"{lock}.txt").read_text(), re.MULTILINE)
    )


def test_a_package_is_locked_at_one_version_for_development_for_running_and_in_both_images() -> None:
    assert pins("serving")
    assert pins("serving") < pins("object-storage")
    assert pins("runtime") < pins("object-storage")
    assert pins("object-storage") < pins("development")
    assert pins("build") < pins("development")


def test_the_serving_image_lacks_what_only_training_uses_and_nothing_else() -> None:
    project = tomllib.loads((REQUIREMENTS.parent / "pyproject.toml").read_text())["project"]
    wanted = {re.split("[^a-z0-9-]", dependency)[0] for dependency in project["dependencies"]}

    serving = {pin.partition("==")[0] for pin in pins("serving")}

    assert wanted - serving == TRAINING_ONLY
