"""Reads a whole registry and says, in sentences, everything in it that is not as it must be.

The registry checks what it is about to use; the audit checks all that was ever written: that numbers have no gaps, that
every file is what its manifest says, and that the log's states follow from its operations, record by record.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from model.errors import CorruptionError, NotFoundError, StorageError
from model.registry.log import CHAMPION, PREVIOUS, Head, Record, apply, in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.registry import Registry

_UNREADABLE = (CorruptionError, NotFoundError, StorageError)
_KNOWN_OPERATIONS = {"promote", "rollback", "set_alias", "delete", "judge"}


def problems(registry: Registry, expect_head: str | None = None) -> Iterator[str]:
    """Each a sentence; nothing means that the registry is whole.

    `expect_head` is the sha256 of a record that was the log's last at some time: a log that was cut off, or rewritten
    from the beginning, is whole in itself, and only this shows it.
    """
    seen_transactions: dict[str, str] = {}
    manifests: dict[int, str | None] = {}
    readable: list[int] = []
    # The log first: what a record names was published before it.
    records, versions = registry.record_numbers(), registry.numbers()
    yield from _gaps("version", versions)
    yield from _gaps("log record", records)
    for number in versions:
        manifests[number] = None  # as long as nothing is known of the file but that it is there
        try:
            manifest, manifests[number] = registry.read_manifest(number)
            readable.append(number)
            yield from _repeated(manifest.transaction, f"version {number}", seen_transactions)
        except _UNREADABLE as error:
            yield str(error)
            with contextlib.suppress(*_UNREADABLE):  # what the log says of the file can be so all the same
                manifests[number] = registry.manifest_sha256(number)
    head, expected_is_there = Head(), expect_head is None
    for number in records:
        try:
            found = registry.at(number)
        except _UNREADABLE as error:
            yield str(error)
            continue
        yield from _of_record(found.record, head, manifests, seen_transactions)
        head = found
        expected_is_there = expected_is_there or found.sha256 == expect_head
    if not expected_is_there:
        yield f"the log holds no record with the sha256 {expect_head}: it was cut off, or rewritten"
    for number in readable:
        try:
            if not head.is_deleted(number) and registry.load(number).manifest.files.report is not None:
                registry.report(number)
        except _UNREADABLE as error:
            if not _is_deleted_by_now(registry, head, number):
                yield str(error)


def _is_deleted_by_now(registry: Registry, head: Head, number: int) -> bool:
    """A version may be deleted, and its files pruned, while all of this is read."""
    try:
        return registry.after(head).is_deleted(number)
    except _UNREADABLE:
        return False


def _of_record(
    record: Record | None, before: Head, manifests: dict[int, str | None], seen_transactions: dict[str, str]
) -> Iterator[str]:
    if record is not None:
        yield from _repeated(record.transaction, f"log record {record.number}", seen_transactions)
        yield from _unfounded(record, manifests)
        if before.number == record.number - 1:
            yield from _inconsequent(record, before)


def _gaps(kind: str, numbers: list[int]) -> Iterator[str]:
    for before, after in itertools.pairwise((0, *numbers)):
        if after == before + 2:
            yield f"{kind} {before + 1} is missing, and there are later ones"
        elif after > before + 2:
            yield f"{kind}s {before + 1} to {after - 1} are missing, and there are later ones"


def _repeated(transaction: str, name: str, seen: dict[str, str]) -> Iterator[str]:
    if seen.setdefault(transaction, name) != name:
        yield f"{name} has the transaction id of {seen[transaction]}"


def _unfounded(record: Record, manifests: dict[int, str | None]) -> Iterator[str]:
    """What a record says of versions that is not so."""
    version, digest = record.operation.version, record.manifest_sha256
    unreadable = digest is None and record.operation.name == "delete"
    if version is not None and not unreadable and manifests.get(version, "") not in (None, digest):
        yield f"log record {record.number} was written for another manifest of version {version}"
    for alias, aliased in record.state.aliases.items():
        if aliased not in manifests or aliased in record.state.deleted:
            yield f"log record {record.number} has the alias {alias} point at version {aliased}, which is not there"


def _inconsequent(record: Record, before: Head) -> Iterator[str]:
    """What a record says that does not follow from the record before it."""
    name, operation = f"log record {record.number}", record.operation
    if record.previous_sha256 != before.sha256:
        yield f"{name} is not chained to the record before it, which is not what it was"
    if before.record is not None and record.at < before.record.at:
        yield f"{name} is older than the record before it"
    if operation.expect is not None and before.champion != (None if operation.expect == "none" else operation.expect):
        yield f"{name} expected {in_words(operation.expect)}, and the champion was {in_words(before.champion)}"
    if operation.name not in _KNOWN_OPERATIONS:
        yield f"{name} has the operation {operation.name!r:.80}, which this release of Stature does not know"
    elif operation.name == "rollback" and not {CHAMPION, PREVIOUS} <= before.state.aliases.keys():
        yield f"{name} rolls back, and there was no previous champion"
    elif operation.name == "set_alias" and operation.alias in (None, CHAMPION, PREVIOUS):
        yield f"{name} sets the alias {operation.alias}, which only promoting and rolling back may move"
    elif apply(operation, before.state) != record.state:
        yield f"{name} has a state that does not follow from its operation"
