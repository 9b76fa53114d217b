"""`log`, `promote`, `rollback`: who is champion, since when and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from model.cli.options import (
    common,
    examples,
    moving,
    open_registry,
    print_head,
    resolve,
    show_result,
    table,
    version_argument,
)
from model.cli.progress import progress

if TYPE_CHECKING:
    from model.registry.log import Record
    from model.registry.registry import Registry


@click.command(epilog=examples("stature log", "stature log --at 2026-11-01T12:00Z"))
@click.option("--at", "moment", metavar="TIME", help="What each alias was at this time, such as 2026-11-01T12:00Z.")
@common
def log(registry_path: str, model: str, *, as_json: bool, moment: str | None) -> None:
    """Show who moved which alias, when and why."""
    registry = open_registry(registry_path, model)
    with progress(f"reading the log of {registry}", quiet=as_json):
        records = list(registry.log())
    if moment is not None:
        _show_aliases_at(registry, records, moment, as_json=as_json)
        return
    rows = [
        (
            str(record.number),
            f"{record.at:%Y-%m-%d %H:%M:%S}",
            record.by,
            " ".join(
                str(part)
                for part in (record.operation.name, record.operation.alias, record.operation.version)
                if part is not None
            ),
            ", ".join(f"{alias} {number}" for alias, number in sorted(record.state.aliases.items())),
            record.reason,
        )
        for record in records
    ]
    said = (
        table(("record", "at (UTC)", "by", "operation", "aliases after it", "reason"), rows)
        if rows
        else f"Nothing has been promoted yet in {registry}."
    )
    show_result([record.model_dump(mode="json") for record in records], said, as_json=as_json)


@click.command(
    epilog=examples('stature promote 2 --reason "better for the short"', "stature promote 2 --alias challenger")
)
@moving
@click.option(
    "--alias",
    default="champion",
    show_default=True,
    help="The alias that it gets: champion, or a name by which it can be asked, such as challenger.",
)
@version_argument()
@common
def promote(
    registry_path: str,
    model: str,
    *,
    as_json: bool,
    name: str,
    alias: str,
    expect: Any,  # noqa: ANN401
    reason: str,
) -> None:
    """Make a version the champion, or give it another alias.

    Running services have it within two seconds.
    """
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    if alias == "champion":
        head = registry.promote(number, by=whoami(), reason=reason, expect=expect)
    else:
        head = registry.set_alias(number, alias, by=whoami(), reason=reason, expect=expect)
    print_head(head, registry, as_json=as_json)


@click.command(epilog=examples('stature rollback --expect 2 --reason "worse for the tall"'))
@moving
@common
def rollback(registry_path: str, model: str, *, as_json: bool, expect: Any, reason: str) -> None:  # noqa: ANN401
    """Make the previous champion the champion again."""
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    print_head(registry.rollback(by=whoami(), reason=reason, expect=expect), registry, as_json=as_json)


def _show_aliases_at(registry: Registry, records: list[Record], moment: str, *, as_json: bool) -> None:
    """The aliases as they were at a time."""
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        raise click.BadParameter(f"{moment!r} is not a time such as 2026-11-01T12:00Z", param_hint="--at") from None
    if time.tzinfo is None:
        raise click.BadParameter(f"{moment} needs its time zone, such as {time.isoformat()}Z", param_hint="--at")
    last = max((record for record in records if record.at <= time), key=lambda record: record.number, default=None)
    aliases = dict(sorted(last.state.aliases.items())) if last else {}
    said = (
        ", ".join(f"{alias} was version {number}" for alias, number in aliases.items()) or "there was no champion yet"
    )
    document = {"model": registry.model, "log_number": last.number if last else 0, "aliases": aliases}
    show_result(document, f"{registry} at {time.isoformat()}: {said}.", as_json=as_json)
