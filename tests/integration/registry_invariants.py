"""The ten invariants of the registry, checked on what is left and on what its writers and readers said meanwhile.

1   numbers have no gaps, and the bytes of a key never change       audit, snapshots, what readers saw
2   an undeleted version's files are there and load                 audit
3   a file says its own number; a transaction id appears once      audit, and acknowledgements
4   what was acknowledged is there                                  acknowledgements
5   states follow from operations; the hash chain is whole          audit
6   aliases point at versions that are there                        audit
7   `expect` held                                                   audit
8   promote sets `previous`, rollback swaps, others stay            replayed here, in other words than the product's
9   a reader never goes back, and its champion loads                readers
10  a crash leaves orphan files and temporary files alone           what keys there are, before and after pruning them
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from model.errors import StatureError
from model.registry import pruning
from model.registry.audit import problems
from model.registry.manifest import MAXIMUM_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model.registry.registry import Registry

_KEY = re.compile(
    r"versions/[0-9]{10}\.json|log/[0-9]{10}\.json|artifacts/[0-9a-f]{32}\.npz|reports/[0-9a-f]{32}\.html"
    r"|aside/[0-9a-f]{32}-[0-9a-f]{32}\.(npz|html)"
)
_REMOVABLE = ("artifacts/", "reports/", "aside/")
_LOOKS = 3


@dataclass
class Said:
    """What the processes of a storm wrote while they lived."""

    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    readers: list[dict[str, Any]] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Said:
        said = cls()
        for path in sorted(folder.iterdir()):
            for line in path.read_bytes().splitlines(keepends=True) if path.name[:4] in ("ackn", "read") else ():
                if not line.endswith(b"\n"):
                    continue  # whoever wrote it died over it, so it was never said
                document = json.loads(line)
                if "failure" in document:
                    said.failures.append(document["failure"])
                elif "pruned" in document:
                    said.pruned += document["pruned"]
                else:
                    (said.readers if "seen" in document else said.acknowledged).append(document)
        return said


def snapshot(registry: Registry) -> dict[str, str]:
    """The sha256 of every file of the model."""
    return {
        f"{prefix}/{name}": _sha256(registry, f"{prefix}/{name}")
        for prefix in ("artifacts", "reports", "versions", "log", "aside")
        for name in registry.storage.list_after(f"{registry.model}/{prefix}")
    }


def violations(registry: Registry, before: Mapping[str, str], said: Said) -> Iterator[str]:
    """Each a sentence; nothing means that every promise was kept."""
    after = snapshot(registry)
    yield from said.failures
    yield from problems(registry)
    yield from _changed("before the storm", before, after)
    for reader in said.readers:
        yield from _changed("when a reader looked", reader["seen"], after)
        if reader["looks"] < _LOOKS:
            yield f"a reader looked only {reader['looks']} times: nothing was tried"
    for prefix in ("versions", "log"):
        numbers = [int(key.partition("/")[2][:10]) for key in after if key.startswith(prefix) and _KEY.fullmatch(key)]
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"{prefix} is not 1 to {len(numbers)} without a gap"
    yield from (
        f"{key} is neither a version, nor a record, nor a file of a version" for key in after if not _KEY.fullmatch(key)
    )
    yield from _lost(registry, said.acknowledged)
    yield from _replayed(registry)


def _changed(when: str, earlier: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key, digest in earlier.items():
        if key.startswith(_REMOVABLE) and key not in after:
            continue  # pruned; the audit says whether it may be
        if after.get(key) != digest:
            yield f"{key} is {'gone' if key not in after else 'not what it was'} {when}"


def _lost(registry: Registry, acknowledged: list[dict[str, Any]]) -> Iterator[str]:
    claimed: dict[tuple[str, int], str] = {}
    for one in acknowledged:
        kind, number, by = one["kind"], one["number"], one["by"]
        other = claimed.setdefault((kind, number), by)
        if other != by:
            yield f"{by} and {other} were both told that they {kind} number {number}"
        try:
            if kind == "published":
                found: Any = registry.manifest(number)
                there = found.transaction == one["transaction"] and found.created_by == by
            else:
                head = registry.at(number)
                there = head.sha256 == one["sha256"] and head.record is not None and head.record.by == by
        except StatureError as error:
            yield f"what {by} {kind} as number {number} cannot be read: {error}"
            continue
        if not there:
            yield f"what {by} {kind} as number {number} is not there"


def unpruned(registry: Registry) -> Iterator[str]:
    """What is wrong once the last writer is dead and all that crashes left has been pruned, younger files too."""
    pruning.prune(registry, timedelta(seconds=-1))
    head = registry.head()
    manifests = {number: registry.manifest(number) for number in registry.numbers() if not head.is_deleted(number)}
    needed = {file.key for manifest in manifests.values() for file in manifest.files.all}
    found = {key for key in snapshot(registry) if key.startswith(_REMOVABLE)}
    yield from (f"{key} is needed and was pruned" for key in needed - found)
    yield from (f"{key} is not needed and was left" for key in found - needed)
    yield from (f"{name} was left in .temporary" for name in registry.storage.list_after(".temporary"))


def _replayed(registry: Registry) -> Iterator[str]:
    champion: int | None = None
    previous: int | None = None
    others: dict[str | None, int | None] = {}
    try:
        for record in registry.log():
            if record.operation.name == "promote":
                champion, previous = record.operation.version, champion if champion is not None else previous
            elif record.operation.name == "rollback":
                champion, previous = previous, champion
            elif record.operation.name == "set_alias":
                others[record.operation.alias] = record.operation.version
            aliases = dict(record.state.aliases)
            found = (aliases.pop("champion", None), aliases.pop("previous", None))
            if found != (champion, previous):
                yield f"after record {record.number} champion and previous are {found}, not {(champion, previous)}"
            if aliases != others:
                yield f"after record {record.number} the other aliases are {aliases}, not {others}"
    except StatureError as error:
        yield f"the log cannot be replayed: {error}"


def _sha256(registry: Registry, key: str) -> str:
    content = registry.storage.get(f"{registry.model}/{key}", MAXIMUM_FILE_BYTES)
    return "absent" if content is None else sha256(content).hexdigest()
