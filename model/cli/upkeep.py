"""`delete`, `prune`, `doctor`: what the owner of a registry does to it now and then."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta

import click

from model.cli.options import common, open_registry, resolve, show_result


@click.command()
@common
@click.option("--reason", default="", help="Why, for the log.")
@click.argument("name", metavar="VERSION|ALIAS")
def delete(registry_path: str, model: str, *, as_json: bool, name: str, reason: str) -> None:
    """Mark a version as deleted. Refused while an alias points at it; `prune` removes its weights later."""
    from model.registry.registry import whoami  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    head = registry.delete(number, by=whoami(), reason=reason)
    document = {"model": registry.model, "model_version": number, "log_number": head.number}
    show_result(document, f"Version {number} of {registry} is deleted.", as_json=as_json)


@click.command()
@common
@click.option(
    "--grace-hours", type=click.IntRange(0, 100_000), default=24, show_default=True, help="Leave younger files alone."
)
@click.option("--yes", is_flag=True, help="Do it. Without this, it is only said what would be removed.")
def prune(registry_path: str, model: str, *, as_json: bool, grace_hours: int, yes: bool) -> None:
    """Remove the weights of deleted versions, and what crashes left behind."""
    from model.registry import pruning  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    grace = timedelta(hours=grace_hours)
    found = pruning.prune(registry, grace) if yes else pruning.removals(registry, grace)
    done = "removed" if yes else "would be removed (do it with --yes)"
    said = "\n".join([*(f"{removal.key}: {removal.reason}" for removal in found), f"{len(found)} files {done}."])
    show_result({"removed": yes, "files": [asdict(removal) for removal in found]}, said, as_json=as_json)


@click.command()
@common
def doctor(registry_path: str, model: str, *, as_json: bool) -> None:
    """Try whether the storage keeps the promises that a registry needs. Exit code 1 if it does not."""
    from model.registry.doctor import findings  # noqa: PLC0415

    storage = open_registry(registry_path, model).storage
    found = list(findings(storage))
    said = "\n".join(found) if found else f"{storage} does what a registry needs."
    show_result({"storage": str(storage), "findings": found}, said, as_json=as_json)
    if found:
        sys.exit(1)
