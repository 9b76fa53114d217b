"""A training at a glance, in characters: how the loss fell, and whether the probabilities are right.

Only for a terminal that shows more than ASCII; what is piped somewhere stays as it is.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from model.cli.options import as_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model.registry.manifest import ReliabilityBin
    from model.registry.registry import Registry
    from model.training.publication import Outcome

_LEVELS = "▁▂▃▄▅▆▇█"
_COLUMNS = 40
_BESIDE = 25
"""The columns beside a bar."""


def print_plots(outcome: Outcome, registry: Registry) -> None:
    """The plots, and where the whole report is; nothing where nothing can be seen, or nothing was published."""
    version = outcome.version
    if not sys.stdout.isatty() or not sys.stdout.encoding.lower().startswith("utf") or version is None:
        return
    columns = max(10, min(_COLUMNS, shutil.get_terminal_size().columns - _BESIDE))
    for line in (*loss_plot(outcome.losses, columns), *calibration_plot(outcome.evaluation.reliability, columns)):
        click.echo(line)
    if version.manifest.files.report is not None:
        command = f"stature report {version.manifest.number} --output report.html {as_options(registry)}"
        click.echo(f"\nThe report, as a page: {command}")


def loss_plot(losses: Sequence[tuple[int, float]], columns: int = _COLUMNS) -> Iterator[str]:
    """One line: a column an epoch, or as many epochs as it takes."""
    if not losses:
        return
    each = -(-len(losses) // columns)
    shown = [loss for _, loss in losses[::each]]
    lowest, highest = min(shown), max(shown)
    spread = highest - lowest or 1.0
    line = "".join(_LEVELS[round((loss - lowest) / spread * (len(_LEVELS) - 1))] for loss in shown)
    yield ""
    yield f"loss {losses[0][1]:.4f} {line} {losses[-1][1]:.4f}"


def calibration_plot(bins: Sequence[ReliabilityBin], columns: int = _COLUMNS) -> Iterator[str]:
    """A line a bin: as many women as the bar is long, and a mark where it should end."""
    if not bins:
        return
    yield ""
    yield f"said   {'share of women, ┃ as it should be':<{columns}}   so were  people"
    for found in bins:
        bar = ("█" * round(found.share_female * columns)).ljust(columns + 1)
        mark = round(found.mean_probability_female * columns)
        line = f"{bar[:mark]}┃{bar[mark + 1 :]}"
        yield f"{found.mean_probability_female:.3f}  {line}  {found.share_female:.3f} {found.people:>8,}"
