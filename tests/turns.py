"""What the processes of a test run share, they use in turn: a package manager, the folder of an installed tool."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """As long as the block lasts, no other process of this user is in one of this name."""
    with Path(tempfile.gettempdir(), f"stature-tests-{os.getuid()}-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
