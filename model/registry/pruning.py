"""Removes what no one needs: files of deleted versions, files that no manifest refers to, temporary files.

The files are weights and reports. A crash leaves them without a manifest, or leaves a temporary file; so does, for a
moment, every publication. Hence the grace period: what is younger is left alone. The age of a file is in its name,
since not every storage tells it.

A publisher that was paused for longer than the grace period may commit its manifest while its files are being removed.
So a file is put aside first, then removed, and then the manifests are looked at once more: what a new one refers to is
put back. Whoever dies in between has left it aside, where readers find it, and the next pruning puts it back. The
publisher, for its part, puts its files again after its commit if they are absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model.errors import CorruptionError, OversizedError
from model.registry.manifest import MAXIMUM_FILE_BYTES
from model.registry.registry import ASIDE
from model.registry.storage import LocalStorage, claim, created_at, unique_name

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
    removed = [removal for removal in look.removals if look.remove(removal.key)]
    needed = look.put_back()
    return [removal for removal in removed if removal.key not in needed]


class _Look:
    """The registry as one pruning finds it, and what that pruning puts aside."""

    def __init__(self, registry: Registry, before: datetime) -> None:
        self.registry, self.before = registry, before
        self.folders = (f"{registry.model}/artifacts/", f"{registry.model}/reports/")
        self.aside = f"{registry.model}/{ASIDE}/"
        self.own: list[str] = []
        # Files are listed before manifests: one that is referred to in between is then seen to be.
        keys = [f"{folder}{name}" for folder in self.folders for name in self._names(folder)]
        temporary = registry.storage.list_after(LocalStorage.TEMPORARY)
        self.deleted_at = {
            record.operation.version: record.at for record in registry.log() if record.operation.name == "delete"
        }
        self.last, self.owners = 0, dict[str, int]()
        self._read_manifests()
        found = [(key, self._reason(key)) for key in keys]
        self.removals = [Removal(key, reason) for key, reason in found if reason is not None] + [
            Removal(f"{LocalStorage.TEMPORARY}/{name}", "left by a crash")
            for name in temporary
            if _is_older(name, before)
        ]

    def remove(self, key: str) -> bool:
        """Remove a file, with a copy aside that is one's own: another pruning may remove the same file, and its copy.

        False where it was away already: whoever has removed it may put it back, and then no copy would be left of it.
        """
        storage = self.registry.storage
        if not key.startswith(self.folders):
            storage.delete(key)
            return True
        try:
            content = storage.get(key, MAXIMUM_FILE_BYTES)
        except OversizedError:
            storage.delete(key)  # no file of a version is that large, so none can need it
            return True
        if content is None:
            return False
        copy = f"{self.aside}{unique_name()}-{_name(key)}"
        self.own.append(copy)
        claim(storage, copy, content)
        storage.delete(key)
        # Whoever was paused for longer than the grace period before the removal may have lost the copy to another.
        claim(storage, copy, content)
        return True

    def put_back(self) -> set[str]:
        """Look at the manifests once more; the files that they turned out to need, each now at its place.

        One's own copies are then removed; so are those that another pruning left, once they are old enough.
        """
        storage = self.registry.storage
        self._read_manifests()
        places = {_name(key): key for key, owner in self.owners.items() if owner not in self.deleted_at}
        needed = set()
        for name in self._names(self.aside):
            key = places.get(name.partition("-")[2])
            if key is not None:
                needed.add(key)
                if (content := storage.get(f"{self.aside}{name}", MAXIMUM_FILE_BYTES)) is not None:
                    claim(storage, key, content)
            if f"{self.aside}{name}" in self.own or _is_older(name, self.before):
                storage.delete(f"{self.aside}{name}")
        return needed

    def _names(self, folder: str) -> list[str]:
        return self.registry.storage.list_after(folder.rstrip("/"))

    def _read_manifests(self) -> None:
        """Which version refers to which file, from the manifests that are new since the last look.

        One that cannot be read, or is missing, is no matter once its version is deleted.
        """
        newest = self.registry.newest_number()
        for number in range(self.last + 1, newest + 1):
            try:
                files = self.registry.manifest(number).files.all
            except CorruptionError:
                if number not in self.deleted_at:
                    raise
                continue
            for file in files:
                key = f"{self.registry.model}/{file.key}"
                # Of two manifests that name one file, the one that still needs it owns it.
                if key not in self.owners or number not in self.deleted_at:
                    self.owners[key] = number
        self.last = newest

    def _reason(self, key: str) -> str | None:
        """Why this file can go, if it can."""
        owner = self.owners.get(key)
        if owner is None:
            return "no version refers to it" if _is_older(_name(key), self.before) else None
        return f"version {owner} was deleted" if self.deleted_at.get(owner, self.before) < self.before else None


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _is_older(name: str, before: datetime) -> bool:
    """Whether a file was begun before a time; a name that does not tell is not old."""
    created = created_at(name)
    return created is not None and created < before
