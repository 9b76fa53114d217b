"""Programs from Debian's packages, which a test needs and a machine may not have yet."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from turns import turn

if TYPE_CHECKING:
    from collections.abc import Callable


def install(*packages: str, are_there: Callable[[], object]) -> None:
    """Have these installed, unless they are there. A test that cannot have them is skipped, with the reason."""
    with turn("apt-get"):
        if not are_there():
            _install(*packages)
            if not are_there():
                pytest.skip(f"{' '.join(packages)}: installed, and not to be found")


def _install(*packages: str) -> None:
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip(f"not installed, and only root can; on Debian: apt-get install {wanted}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode != 0:
            pytest.skip(f"apt-get could not install {wanted}: {done.stderr[-500:]}")
