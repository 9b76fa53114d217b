"""What all commands share: their options, how they open a registry, and how they print."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model.registry.log import Head
    from model.registry.registry import Registry

Command = TypeVar("Command", bound="Callable[..., Any]")

METRICS = ("log_loss", "brier_score", "accuracy", "roc_auc", "calibration_error")


shown_option = partial(click.option, show_default=True, show_envvar=True)


def common(command: Command) -> Command:
    """The options that every command takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines."),
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
        click.option("--expect", type=_ExpectType(), help="Refuse unless this version is champion."),
    ):
        command = option(command)
    return command


def open_registry(location: str, model: str) -> Registry:
    """The registry at a path or a URL. Opening it reads and writes nothing."""
    from model.registry.registry import Registry  # noqa: PLC0415
    from model.registry.storage import open_storage  # noqa: PLC0415

    return Registry(open_storage(location), model)


def resolve(registry: Registry, name: str, head: Head) -> int:
    """As the registry does, with what to do about it if there is nothing yet."""
    from model.errors import NotFoundError  # noqa: PLC0415

    if name == "champion" and head.champion is None:
        raise NotFoundError(f"{registry} has no champion yet: `stature train` makes the first")
    return registry.resolve(name, head)


def show_result(document: Any, said: str, *, as_json: bool) -> None:  # noqa: ANN401 - whatever JSON can say
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else said)


def print_head(head: Head, registry: Registry, *, as_json: bool) -> None:
    aliases = dict(sorted(head.state.aliases.items()))
    said = f"{registry}: {', '.join(f'{alias} is version {number}' for alias, number in aliases.items())}."
    show_result({"model": registry.model, "log_number": head.number, "aliases": aliases}, said, as_json=as_json)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their titles, as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [titles, *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
