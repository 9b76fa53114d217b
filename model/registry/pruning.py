"""Removes what no one needs: artifacts of deleted versions, artifacts that no manifest refers to, temporary files.

A crash leaves an artifact without a manifest, or a temporary file; so does, for a moment, every publication. Hence the
grace period: what is younger is left alone. The age of a file is in its name, since not every storage tells it.

A publisher that was paused for longer than the grace period may commit its manifest while its artifact is being
removed. So an artifact is put aside first, then removed, and then the manifests are looked at once more: what a new one
refers to is put back. Whoever dies in between has left it aside, and the next pruning puts it back. The publisher, for
its part, puts its artifact again after its commit if it is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model.errors import CorruptionError, OversizedError
from model.registry.storage import LocalStorage, created_at, unique_name
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
    return _Look(registry, (now or datetime.now(UTC)) - grace).removals


def prune(registry: Registry, grace: timedelta, now: datetime | None = None) -> list[Removal]:
    """Remove it, and put back what a manifest turns out to refer to. What was removed for good."""
    look = _Look(registry, (now or datetime.now(UTC)) - grace)
    for removal in look.removals:
        if removal.key.startswith(look.artifacts):
            look.put_aside(removal.key)
        registry.storage.delete(removal.key)
    needed = look.put_back()
    return [removal for removal in look.removals if removal.key not in needed]


class _Look:
    """The registry as one pruning finds it, and what that pruning puts aside."""

    def __init__(self, registry: Registry, before: datetime) -> None:
        self.registry, self.before = registry, before
        self.artifacts, self.aside = f"{registry.model}/artifacts/", f"{registry.model}/aside/"
        self.own: list[str] = []
        # Artifacts are listed before manifests: one that is referred to in between is then seen to be.
        names = self._names(self.artifacts)
        temporary = registry.storage.list_after(LocalStorage.TEMPORARY)
        self.deleted_at = {
            record.operation.version: record.at for record in registry.log() if record.operation.name == "delete"
        }
        self.owners = self._owners()
        found = [(f"{self.artifacts}{name}", self._reason(name)) for name in names]
        self.removals = [Removal(key, reason) for key, reason in found if reason is not None] + [
            Removal(f"{LocalStorage.TEMPORARY}/{name}", "left by a crash")
            for name in temporary
            if _is_older(name, before)
        ]

    def put_aside(self, key: str) -> None:
        """A copy of one's own, since another pruning may remove the same artifact, and its copy, at the same time."""
        try:
            content = self.registry.storage.get(key, MAXIMUM_WEIGHTS_BYTES)
        except OversizedError:
            return  # no artifact is that large, so no version can need it
        if content is not None:
            copy = f"{self.aside}{unique_name()}-{key.rpartition('/')[2]}"
            self.registry.storage.put_if_absent(copy, content)
            self.own.append(copy)

    def put_back(self) -> set[str]:
        """Look at the manifests once more; the artifacts that they turned out to need, each now at its place.

        One's own copies are then removed; so are those that another pruning left, once they are old enough.
        """
        storage = self.registry.storage
        self.owners |= self._owners(after=max(self.owners.values(), default=0))
        needed = set()
        for name in self._names(self.aside):
            key = f"{self.artifacts}{name.partition('-')[2]}"
            owner = self.owners.get(key)
            if owner is not None and owner not in self.deleted_at:
                needed.add(key)
                if (content := storage.get(f"{self.aside}{name}", MAXIMUM_WEIGHTS_BYTES)) is not None:
                    storage.put_if_absent(key, content)
            if f"{self.aside}{name}" in self.own or _is_older(name, self.before):
                storage.delete(f"{self.aside}{name}")
        return needed

    def _names(self, folder: str) -> list[str]:
        return self.registry.storage.list_after(folder.rstrip("/"))

    def _owners(self, after: int = 0) -> dict[str, int]:
        """Which version refers to which artifact. A manifest that cannot be read is no matter once it is deleted."""
        owners = {}
        for number in self.registry.numbers():
            if number > after:
                try:
                    owners[f"{self.registry.model}/{self.registry.manifest(number).files.weights.key}"] = number
                except CorruptionError:
                    if number not in self.deleted_at:
                        raise
        return owners

    def _reason(self, name: str) -> str | None:
        """Why this artifact can go, if it can."""
        owner = self.owners.get(f"{self.artifacts}{name}")
        if owner is None:
            return "no version refers to it" if _is_older(name, self.before) else None
        return f"version {owner} was deleted" if self.deleted_at.get(owner, self.before) < self.before else None


def _is_older(name: str, before: datetime) -> bool:
    """Whether a file was begun before a time; a name that does not tell is not old."""
    created = created_at(name)
    return created is not None and created < before
