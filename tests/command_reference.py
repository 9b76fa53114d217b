"""The reference of the commands, made from the commands themselves: what docs/commands.md shows below its own words.

PYTHONPATH=tests python -m command_reference      writes it there: `make reference`
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.cli import EXIT_CODES
from model.cli.group import SECTIONS, main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
BEGIN, END = "<!-- begin reference -->\n", "<!-- end reference -->\n"
SHARED = ("registry_path", "model", "as_json")
"""The options that nearly every command takes: they are told once."""


def reference() -> str:
    """All of it, as Markdown."""
    return "\n".join([BEGIN.rstrip(), *_exit_codes(), *_shared(), *_sections(), END])


def with_reference(page: str) -> str:
    """A page with the reference put where its marks are."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: reference(), page, flags=re.DOTALL)


def command_named(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def _exit_codes() -> Iterator[str]:
    yield from ("", "| exit code | |", "|---|---|")
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())


def _shared() -> Iterator[str]:
    yield from ("", "## What the commands share")
    yield from _options(command_named("show"), lambda option: option.name in SHARED)


def _sections() -> Iterator[str]:
    for title, commands in SECTIONS.items():
        yield from ("", f"## {title}")
        for name in commands:
            yield from _command(command_named(name), name)


def _command(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _command(inner, f"{name} {inner.name}")
        return
    usage = " ".join(["stature", name, *command.collect_usage_pieces(click.Context(command))])
    yield from ("", f"### {name}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""))
    taken = {option.name for option in command.params}
    if lacking := [name for name in SHARED if name not in taken]:
        flags = [option.opts[0] for option in command_named("show").params if option.name in lacking]
        yield from ("", f"Of what the commands share, it does not take {', '.join(f'`{flag}`' for flag in flags)}.")
    yield from _options(command, lambda option: option.name not in SHARED)
    yield from ("", "```text", *(line.strip() for line in (command.epilog or "").splitlines()[2:]), "```")


def _options(command: click.Command, wanted: Callable[[click.Parameter], bool]) -> Iterator[str]:
    context = click.Context(command)
    records = [option.get_help_record(context) for option in command.params if wanted(option)]
    rows = [tuple(text.replace("|", "\\|") for text in record) for record in records if record is not None]
    if rows:
        yield from ("", "| option | |", "|---|---|", *(f"| `{names}` | {said} |" for names, said in rows))


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
