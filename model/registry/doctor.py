"""Tries a storage before it is trusted: whether it does what the registry's promises stand on.

A store that lets a second writer overwrite the first, or that shows an old state after a write, loses versions without
an error. Every finding says what the store did wrong; no finding means that nothing wrong was seen.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from model.errors import OversizedError, StorageError
from model.registry.storage import created_at, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.storage import Storage

FOLDER = ".doctor"
_WRITERS, _ROUNDS = 8, 10
_LONGEST = timedelta(hours=1)
"""What is older, in its folder, is of a doctor that was killed."""


def findings(storage: Storage, now: datetime | None = None) -> Iterator[str]:
    """What is wrong with a storage, in sentences. It writes below `.doctor/`, and removes what it wrote."""
    before = (now or datetime.now(UTC)) - _LONGEST
    own = unique_name()
    prefix = f"{FOLDER}/{own}"
    try:
        yield from _put_twice(storage, f"{prefix}-twice")
        yield from _race(storage, f"{prefix}-race")
        yield from _read_after_write(storage, f"{prefix}-read")
        yield from _list(storage, f"{own}-list")
        yield from _delete(storage, f"{prefix}-delete")
    except StorageError as error:
        yield str(error)
    finally:
        try:
            _clean(storage, own, before)
        except BaseException:
            _clean(storage, own, before)  # who is interrupted while cleaning up begins once more
            raise


def _put_twice(storage: Storage, key: str) -> Iterator[str]:
    if not storage.put_if_absent(key, b"first"):
        yield "putting a new key said that it exists"
    if storage.put_if_absent(key, b"second"):
        yield "putting a key twice succeeded twice: a second writer would overwrite the first"
    if (found := storage.get(key, 100)) != b"first":
        yield f"after putting a key twice it holds {found!r}, and not what was put first"


def _race(storage: Storage, prefix: str) -> Iterator[str]:
    """Many writers at once: exactly one may be told that it was first, and its content must be there."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        for round_number in range(_ROUNDS):
            key, barrier = f"{prefix}-{round_number:02}", threading.Barrier(_WRITERS)

            def put(writer: int, key: str = key, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return storage.put_if_absent(key, _signed(writer))

            try:
                first = [writer for writer, won in enumerate(pool.map(put, range(_WRITERS))) if won]
            except BaseException:
                barrier.abort()  # who waits there may wait for one that will never be begun
                raise
            found = storage.get(key, 10_000)
            if len(first) != 1:
                yield f"of {_WRITERS} writers of one key at once, {len(first)} were told that they were first"
            elif found != _signed(first[0]):
                yield "of several writers of one key at once, another's content is there than that of the first"


def _signed(writer: int) -> bytes:
    return bytes([writer]) * 1000


def _read_after_write(storage: Storage, prefix: str) -> Iterator[str]:
    for number in range(_ROUNDS):
        key = f"{prefix}-{number:02}"
        if storage.get(key, 100) is not None:
            yield "reading a key that was never put found something"
        storage.put_if_absent(key, b"written")
        if storage.get(key, 100) != b"written":
            yield "a key could not be read right after it was put"
        if key.rpartition("/")[2] not in storage.list_after(FOLDER):
            yield "a key was not listed right after it was put"
    try:
        storage.get(f"{prefix}-00", 3)
    except OversizedError:
        return
    yield "a file larger than allowed was read"


def _list(storage: Storage, prefix: str) -> Iterator[str]:
    names = [f"{prefix}-{number:010}.json" for number in (3, 1, 2, 10)]
    for name in names:
        storage.put_if_absent(f"{FOLDER}/{name}", b"")

    def listed(after: str = "") -> list[str]:
        return [name for name in storage.list_after(FOLDER, after) if name.startswith(prefix)]

    if listed() != sorted(names):
        yield "listing gave other names than were put, or in another order"
    if listed(sorted(names)[1]) != sorted(names)[2:]:
        yield "listing after a name gave other names than those after it"


def _delete(storage: Storage, key: str) -> Iterator[str]:
    storage.put_if_absent(key, b"content")
    storage.delete(key)
    storage.delete(key)
    if storage.get(key, 100) is not None:
        yield "a key could be read after it was deleted"
    if not storage.put_if_absent(key, b"again"):
        yield "a key that was deleted could not be put again"


def _clean(storage: Storage, own: str, before: datetime) -> None:
    """Remove what this doctor wrote, and what others left that were killed. The findings say what cannot be removed."""
    with contextlib.suppress(StorageError):
        for name in storage.list_after(FOLDER):
            begun = created_at(name)
            if name.startswith(own) or (begun is not None and begun < before):
                storage.delete(f"{FOLDER}/{name}")
