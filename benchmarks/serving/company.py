"""What else may go on while single predictions are asked for: the champion changes, again and again."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING

from model.registry.registry import Registry
from model.registry.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PAUSE_SECONDS = 0.01


@contextlib.contextmanager
def promotions(folder: Path) -> Iterator[Callable[[], int]]:
    """Promote versions 1 and 2 in turn, about a hundred times a second; the block is told how often that was."""
    registry = Registry(open_storage(str(folder)), "gender")
    ended, made = threading.Event(), 0

    def promote() -> None:
        nonlocal made
        for number in itertools.cycle((2, 1)):
            if ended.wait(_PAUSE_SECONDS):
                return
            registry.promote(number, by="benchmark")
            made += 1

    promoting = threading.Thread(target=promote)
    promoting.start()
    try:
        yield lambda: made
    finally:
        ended.set()
        promoting.join()
