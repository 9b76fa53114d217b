"""`delete`, `prune`, `doctor`: what the owner of a registry does to it now and then."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta

import click

from model.cli import FAILED
from model.cli.options import common, examples, open_registry, resolve, show_result, version_argument
from model.cli.progress import progress


@click.command(epilog=examples('stature delete 3 --reason "no use"'))
@click.option("--reason", default="", help="Why, for the log.")
@version_argument()
@common
def delete(registry_path: str, model: str, *, as_json: bool, name: str, reason: str) -> None:
    """Mark a version as deleted.

    Refused while an alias points at it. `stature prune` removes its weights later.
    """
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    head = registry.delete(number, by=whoami(), reason=reason)
    document = {"model": registry.model, "model_version": number, "log_number": head.number}
    show_result(document, f"Version {number} of {registry} is deleted.", as_json=as_json)


@click.command(epilog=examples("stature prune", "stature prune --grace-hours 1 --yes"))
@click.option(
    "--grace-hours",
    type=click.IntRange(0, 100_000),
    default=24,
    show_default=True,
    help="Leave files alone that are younger than so many hours.",
)
@click.option("--yes", is_flag=True, help="Do it.")
@common
def prune(registry_path: str, model: str, *, as_json: bool, grace_hours: int, yes: bool) -> None:
    """Remove what deleted versions and crashes left.

    Without --yes it is only said what would be removed.
    """
    from model.registry import pruning  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    grace = timedelta(hours=grace_hours)
    with progress(f"looking through {registry}", quiet=as_json):
        found = list(pruning.prune(registry, grace) if yes else pruning.removals(registry, grace))
    done = "removed" if yes else "would be removed (do it with --yes)"
    said = "\n".join([*(f"{removal.key}: {removal.reason}" for removal in found), f"{len(found)} files {done}."])
    show_result({"removed": yes, "files": [asdict(removal) for removal in found]}, said, as_json=as_json)


@click.command(epilog=examples("stature doctor"))
@common
def doctor(registry_path: str, model: str, *, as_json: bool) -> None:
    """Try whether a storage can hold a registry.

    It writes and removes keys of its own below .doctor/. Exit code 1 if the storage does not do what a registry needs.
    """
    from model.registry.doctor import findings  # noqa: PLC0415

    storage = open_registry(registry_path, model).storage
    with progress(f"trying {storage}", quiet=as_json):
        found = list(findings(storage))
    said = "\n".join(found) if found else f"{storage} does what a registry needs."
    show_result({"storage": str(storage), "findings": found}, said, as_json=as_json)
    if found:
        sys.exit(FAILED)
