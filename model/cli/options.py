"""What all commands share: their options, how they open a registry, and how they print."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import sys
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model.registry.log import Head
    from model.registry.registry import Registry

Command = TypeVar("Command", bound="Callable[..., Any]")

METRICS = ("log_loss", "brier_score", "accuracy", "roc_auc", "calibration_error")


shown_option = partial(click.option, show_default=True, show_envvar=True)


def examples(*lines: str, title: str = "Examples") -> str:
    """The end of a command's help: lines that can be copied, each of which a test runs."""
    return "\b\n" + "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")


def names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes: the aliases, and the numbers of the newest versions. Nothing where that fails."""
    from model.errors import StatureError  # noqa: PLC0415

    try:
        registry = open_registry(context.params["registry_path"], context.params["model"])
        found = [*sorted(registry.head().state.aliases), *map(str, registry.numbers()[: -_COMPLETED - 1 : -1])]
    except StatureError:
        return []
    return [name for name in found if name.startswith(incomplete)]


_COMPLETED = 20


def version_argument(name: str = "name") -> Callable[[Command], Command]:
    return click.argument(name, metavar="VERSION|ALIAS", shell_complete=names)


def common(command: Command) -> Command:
    """The options of what reads or writes a registry, and answers."""
    return registry_options(json_option(command))


def registry_options(command: Command) -> Command:
    for option in (
        shown_option("--model", envvar="STATURE_MODEL", default="gender", help="The name of the model."),
        shown_option(
            "--registry",
            "registry_path",
            envvar="STATURE_REGISTRY",
            default="./registry",
            help="The registry: a directory, or s3://, gs:// or az:// and a bucket.",
        ),
    ):
        command = option(command)
    return command


class _ExpectType(click.ParamType[int | Literal["none"]]):
    name = "VERSION|none"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> int | Literal["none"]:
        try:
            return "none" if value == "none" else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither the number of a version nor 'none'", parameter, context)


def moving(command: Command) -> Command:
    """The options of what moves an alias."""
    for option in (
        click.option("--reason", default="", help="Why, for the log."),
        click.option(
            "--expect", type=_ExpectType(), metavar=_ExpectType.name, help="Refuse unless this version is champion."
        ),
    ):
        command = option(command)
    return command


def reading_options(command: Command) -> Command:
    """The options of what reads a file of people."""
    for option in (
        click.option(
            "--bad-rows",
            type=click.Choice(["refuse", "skip"]),
            default="refuse",
            show_default=True,
            help="Refuse a file with bad rows, or leave them out and count them.",
        ),
        click.option("--female-code", metavar="NUMBER", help="The number that means female, where gender is a number."),
    ):
        command = option(command)
    return command


class _ThresholdType(click.ParamType[tuple[str, float]]):
    name = "METRIC=VALUE"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> tuple[str, float]:
        metric, _, threshold = value.partition("=")
        try:
            number = float(threshold)
        except ValueError:
            number = math.nan
        if metric not in METRICS or not math.isfinite(number):
            self.fail(f"{value!r} is not one of {', '.join(METRICS)}, and =, and a number", parameter, context)
        return metric, number


def gate_options(command: Command) -> Command:
    """The options of what ends at the gate."""
    for option in (
        click.option(
            "--otherwise",
            type=click.Choice(["nothing", "challenger"]),
            default="nothing",
            show_default=True,
            help="What becomes of a version that is not promoted.",
        ),
        click.option(
            "--holdout",
            type=click.Path(),
            metavar="FILE",
            help="People who judge, instead of those held out of the data.",
        ),
        click.option(
            "--min-relative-change",
            type=float,
            default=0.0,
            show_default=True,
            help="The same as a share of the champion's log-loss.",
        ),
        click.option(
            "--min-absolute-change",
            type=float,
            default=0.0,
            show_default=True,
            help="By how much its log-loss must at least be lower than the champion's.",
        ),
        click.option(
            "--threshold",
            "thresholds",
            type=_ThresholdType(),
            multiple=True,
            help="A value that a metric must reach, such as log_loss=0.45 or roc_auc=0.85. Repeatable.",
        ),
        click.option(
            "--promote",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="Make the version champion if it passes the gate, in any case, or not at all.",
        ),
    ):
        command = option(command)
    return command


def open_registry(location: str, model: str) -> Registry:
    """The registry at a path or a URL. Opening it reads and writes nothing."""
    from model.registry.registry import Registry  # noqa: PLC0415
    from model.registry.storage import open_storage  # noqa: PLC0415

    return Registry(open_storage(location), model)


def as_options(registry: Registry) -> str:
    """The options that name this registry and model, for a command that can be copied."""
    return f"--registry {shlex.quote(str(registry.storage))} --model {registry.model}"


def resolve(registry: Registry, name: str, head: Head) -> int:
    """As the registry does, with what to do about it if there is nothing yet."""
    from model.errors import NotFoundError  # noqa: PLC0415

    if name == "champion" and head.champion is None:
        raise NotFoundError(f"{registry} has no champion yet: `stature train` makes the first")
    return registry.resolve(name, head)


def show_result(document: Any, said: str, *, as_json: bool) -> None:  # noqa: ANN401 - whatever JSON can say
    click.echo(
        json.dumps(document, indent=2, ensure_ascii=False)
        if as_json
        else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", said)
    )


_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys, all but the end of a line: what others wrote into a registry is only to be shown."""


def print_head(head: Head, registry: Registry, *, as_json: bool) -> None:
    aliases = dict(sorted(head.state.aliases.items()))
    said = f"{registry}: {', '.join(f'{alias} is version {number}' for alias, number in aliases.items())}."
    show_result({"model": registry.model, "log_number": head.number, "aliases": aliases}, said, as_json=as_json)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their titles, as wide as they need to be; on a terminal, cells are wrapped until they fit."""
    rows = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if sys.stdout.isatty():
        words = [
            max(len(word.rstrip()) for cell in column for word in _WORDS.split(cell) or ("",)) for column in columns
        ]
        while sum(widths) + 2 * (len(widths) - 1) > shutil.get_terminal_size().columns and max(widths) > 1:
            # The widest gives way, and words are broken only when nothing else can.
            widest = max(range(len(widths)), key=lambda column: (widths[column] > words[column], widths[column]))
            widths[widest] -= 1
    return "\n".join(
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for cells in (titles, *rows)
        for line in zip_longest(
            *(_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)), fillvalue=""
        )
    )


_WORDS = re.compile(r"(?<=[ _-])")
"""A cell may be broken after these."""


def _wrapped(cell: str, width: int) -> list[str]:
    lines = [""]
    for word in _WORDS.split(cell):
        if len((lines[-1] + word).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]
