"""The locks agree: what two of them name is the same version in both, and each image's lock is a part of the next."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_the_serving_image_lacks_what_only_training_uses() -> None:
    names = {pin.partition("==")[0] for pin in pins("object-storage") - pins("serving")}

    assert {"duckdb", "rich", "threadpoolctl", "matplotlib"} <= names
    assert not names & {"numpy", "flask", "gunicorn", "uvicorn", "pydantic", "click", "obstore", "prometheus-client"}
