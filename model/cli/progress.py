"""What is shown while something takes long: on a terminal, on standard error, and gone at the end."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(doing: str, *, steps: int | None = None, quiet: bool) -> Iterator[Callable[[int], None]]:
    """What is being done, for how long, and how far it is where the steps are known. Gives what is told each step."""
    with contextlib.ExitStack() as stack:
        yield _shown(doing, steps, stack) if sys.stderr.isatty() and not quiet else _nothing


def _shown(doing: str, steps: int | None, stack: contextlib.ExitStack) -> Callable[[int], None]:
    try:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    except ModuleNotFoundError:  # an installation that only serves
        return _nothing
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines go above the bar
    )
    task = stack.enter_context(bar).add_task(doing, total=steps)
    return lambda step: bar.update(task, completed=step)


def _nothing(_step: int) -> None:
    pass
