"""Removes what no one needs: artifacts of deleted versions, artifacts that no manifest refers to, temporary files.

A crash leaves an artifact without a manifest, or a temporary file; so does, for a moment, every publication. Hence the
grace period: what is younger is left alone. The age of a file is in its name, since not every storage tells it.

A publisher that was paused for longer than the grace period may commit its manifest while its artifact is being
removed. It puts the artifact again after its commit if it is absent; and what was removed here is put back if a
manifest refers to it afterwards. Whichever comes last, the artifact is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model.errors import OversizedError
from model.registry.storage import LocalStorage, created_at
from model.registry.version import MAXIMUM_WEIGHTS_BYTES

if TYPE_CHECKING:
    from datetime import timedelta

    from model.registry.registry import Registry


@dataclass(frozen=True)
class Removal:
    """A file that is to be removed, by its key in the storage, and why."""

    key: str
    reason: str


def removals(registry: Registry, grace: timedelta, now: datetime | None = None) -> list[Removal]:
    """What pruning would remove now. CorruptionError where a manifest cannot be read: it might refer to anything."""
    before = (now or datetime.now(UTC)) - grace
    # Artifacts are listed before manifests: one that is referred to in between is then seen to be.
    artifacts = registry.storage.list_after(f"{registry.model}/artifacts")
    temporary = registry.storage.list_after(LocalStorage.TEMPORARY)
    deleted_at = {record.operation.version: record.at for record in registry.log() if record.operation.name == "delete"}
    owners = {registry.manifest(number).files.weights.key: number for number in registry.numbers()}
    found = []
    for name in artifacts:
        owner = owners.get(f"artifacts/{name}")
        key = f"{registry.model}/artifacts/{name}"
        if owner is None and _is_older(name, before):
            found.append(Removal(key, "no version refers to it"))
        elif owner in deleted_at and deleted_at[owner] < before:
            found.append(Removal(key, f"version {owner} was deleted"))
    found += [
        Removal(f"{LocalStorage.TEMPORARY}/{name}", "left by a crash") for name in temporary if _is_older(name, before)
    ]
    return found


def prune(registry: Registry, grace: timedelta, now: datetime | None = None) -> list[Removal]:
    """Remove it, and put back what a manifest turns out to refer to. What was removed for good."""
    removed = []
    for removal in removals(registry, grace, now):
        try:
            content = registry.storage.get(removal.key, MAXIMUM_WEIGHTS_BYTES)
        except OversizedError:
            content = b""  # no artifact is that large, so no one needs it
        if content is None:
            continue  # another has removed it, and will put it back if it must
        registry.storage.delete(removal.key)
        needed = True
        try:
            needed = removal.key in _needed(registry)
        finally:
            # Put back in doubt, too: an orphan does no harm.
            if needed and content:
                registry.storage.put_if_absent(removal.key, content)
        if not needed:
            removed.append(removal)
    return removed


def _needed(registry: Registry) -> set[str]:
    """The artifacts of all versions that are not deleted."""
    head = registry.head()
    return {
        f"{registry.model}/{registry.manifest(number).files.weights.key}"
        for number in registry.numbers()
        if not head.is_deleted(number)
    }


def _is_older(name: str, before: datetime) -> bool:
    """Whether a file was begun before a time; a name that does not tell is not old."""
    created = created_at(name)
    return created is not None and created < before
