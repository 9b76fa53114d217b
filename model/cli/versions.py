"""`models`, `show`, `verify`: what the registry holds, and whether it is whole."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from model.cli import FAILED
from model.cli.options import METRICS, common, examples, open_registry, resolve, show_result, table, version_argument
from model.cli.progress import progress
from model.errors import NotFoundError, StatureError

if TYPE_CHECKING:
    from model.registry.manifest import Manifest


@click.command(epilog=examples("stature models", "stature models --limit 5 --json"))
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many versions.")
@common
def models(registry_path: str, model: str, *, as_json: bool, limit: int) -> None:
    """List the versions, the newest first."""
    registry = open_registry(registry_path, model)
    with progress(f"reading the versions of {registry}", quiet=as_json):
        found = registry.newest(limit + 1, registry.head())
    found, older = found[:limit], found[limit:]
    rows = [
        (
            str(version["model_version"]),
            ", ".join(version["aliases"]),
            version["created_at"][:16].replace("T", " "),
            version["data"],
            version["trainer"],
            "-".join(map(str, version["layer_sizes"])),
            *(f"{version['metrics'][metric]:.4f}" for metric in METRICS[:3]),
        )
        for version in found
        if "problem" not in version
    ]
    unreadable = [version for version in found if "problem" in version]
    titles = ("version", "aliases", "created (UTC)", "data", "trainer", "layers", *METRICS[:3])
    said = [
        table(titles, rows)
        if rows or unreadable
        else f"No version of {registry} yet: `stature train` makes the first.",
        *(f"version {version['model_version']} cannot be read: {version['problem']}" for version in unreadable),
        *(["There are older ones: see them with --limit."] if older else []),
    ]
    show_result(found, "\n".join(said), as_json=as_json)


@click.command(epilog=examples("stature show champion", "stature show 2 --json"))
@version_argument()
@common
def show(registry_path: str, model: str, *, as_json: bool, name: str) -> None:
    """Show all about a version.

    Among it is where its weights are, which np.load opens.
    """
    registry = open_registry(registry_path, model)
    head = registry.head()
    version = registry.load(resolve(registry, name, head))
    manifest = version.manifest
    path = f"{registry.storage}/{registry.model}/{manifest.files.weights.key}"
    document = manifest.model_dump(mode="json")
    aliases = head.aliases_of(manifest.number)
    said = "\n".join(
        [
            f"version {manifest.number} of {registry}{': ' if aliases else ''}{', '.join(aliases)}",
            f"weights    {path}",
            f"digest     {manifest.digest}",
            f"created    {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC by {manifest.created_by}",
            _made_in_words(manifest),
            f"verdict    {'promote' if manifest.verdict.promote else 'do not promote'}: {manifest.verdict.reason}",
            *(f"{metric:<18} {getattr(manifest.evaluation.metrics, metric):.4f}" for metric in METRICS),
            "",
            "The whole manifest: --json",
        ]
    )
    show_result({**document, "aliases": aliases, "weights_path": path}, said, as_json=as_json)


def _made_in_words(manifest: Manifest) -> str:
    people = f"on {manifest.data.trained_people:,} people of {manifest.data.source}"
    if (found := manifest.recalibration) is not None:
        return (
            f"made       from version {manifest.parent} by {manifest.trainer.name}, {people}: "
            f"log-odds times {found.slope:.4f}, plus {found.intercept:.4f}"
        )
    layers = "-".join(map(str, manifest.layer_sizes))
    return f"trained    {manifest.trainer.name}, {layers}, seed {manifest.trainer.seed}, {people}"


@click.command(epilog=examples("stature verify"))
@click.option("--expect-head", metavar="SHA256", help="A record that the log must hold: shows a log that was cut off.")
@common
def verify(registry_path: str, model: str, *, as_json: bool, expect_head: str | None) -> None:
    """Read the whole registry and say what is wrong in it.

    Exit code 1 if anything is.
    """
    from model.registry.audit import problems  # noqa: PLC0415

    if expect_head is not None and not re.fullmatch("[0-9a-f]{64}", expect_head):
        expected = "64 digits, 0 to 9 and a to f, as `stature verify --json` says them"
        raise click.BadParameter(
            f"{expect_head!r} is not the sha256 of a record: {expected}", param_hint="--expect-head"
        )
    registry = open_registry(registry_path, model)
    with progress(f"reading all of {registry}", quiet=as_json):
        found = list(problems(registry, expect_head))
    try:
        head = registry.head().sha256
    except StatureError:
        if not found:
            raise
        head = None  # which the problems say
    versions, records = len(registry.numbers()), len(registry.record_numbers())
    if not versions and not records:
        raise NotFoundError(f"{registry} holds nothing to verify: is this the right --registry and --model?")
    counted = ", ".join(
        f"{count} {what}{'s' * (count != 1)}" for count, what in ((versions, "version"), (records, "log record"))
    )
    whole = f"{registry} is whole: {counted}."
    show_result(
        {
            "model": registry.model,
            "versions": versions,
            "log_records": records,
            "head": head,
            "problems": found,
        },
        "\n".join(found) or whole,
        as_json=as_json,
    )
    if found:
        sys.exit(FAILED)
