"""Tries a storage before it is trusted: whether it does what the registry's promises stand on.

A store that lets a second writer overwrite the first, or that shows an old state after a write, loses versions without
an error. Every finding says what the store did wrong; no finding means that nothing wrong was seen.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from model.errors import OversizedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.storage import Storage

_WRITERS, _ROUNDS = 8, 10
_LONGEST_SECONDS = 60.0
"""How long a writer waits for the others, who may have been interrupted."""


def findings(storage: Storage) -> Iterator[str]:
    """What is wrong with a storage, in sentences. It writes below `.doctor/`, and removes what it wrote."""
    prefix = f".doctor/{uuid.uuid4().hex}"
    try:
        yield from _put_twice(storage, f"{prefix}/twice")
        yield from _race(storage, prefix)
        yield from _read_after_write(storage, prefix)
        yield from _list(storage, f"{prefix}/list")
        yield from _delete(storage, f"{prefix}/delete")
    except StorageError as error:
        yield str(error)
    finally:
        _clean(storage, prefix)


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
            key, barrier = f"{prefix}/race/{round_number:02}", threading.Barrier(_WRITERS, timeout=_LONGEST_SECONDS)

            def put(writer: int, key: str = key, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return storage.put_if_absent(key, _signed(writer))

            first = [writer for writer, won in enumerate(pool.map(put, range(_WRITERS))) if won]
            found = storage.get(key, 10_000)
            if len(first) != 1:
                yield f"of {_WRITERS} writers of one key at once, {len(first)} were told that they were first"
            elif found != _signed(first[0]):
                yield "of several writers of one key at once, another's content is there than that of the first"


def _signed(writer: int) -> bytes:
    return bytes([writer]) * 1000


def _read_after_write(storage: Storage, prefix: str) -> Iterator[str]:
    for number in range(_ROUNDS):
        key = f"{prefix}/read/{number:02}"
        if storage.get(key, 100) is not None:
            yield "reading a key that was never put found something"
        storage.put_if_absent(key, b"written")
        if storage.get(key, 100) != b"written":
            yield "a key could not be read right after it was put"
        if key.rpartition("/")[2] not in storage.list_after(f"{prefix}/read"):
            yield "a key was not listed right after it was put"
    try:
        storage.get(f"{prefix}/read/00", 3)
    except OversizedError:
        return
    yield "a file larger than allowed was read"


def _list(storage: Storage, prefix: str) -> Iterator[str]:
    names = [f"{number:010}.json" for number in (3, 1, 2, 10)]
    for name in names:
        storage.put_if_absent(f"{prefix}/{name}", b"")
    if storage.list_after(prefix) != sorted(names):
        yield "listing gave other names than were put, or in another order"
    if storage.list_after(prefix, sorted(names)[1]) != sorted(names)[2:]:
        yield "listing after a name gave other names than those after it"


def _delete(storage: Storage, key: str) -> Iterator[str]:
    storage.put_if_absent(key, b"content")
    storage.delete(key)
    storage.delete(key)
    if storage.get(key, 100) is not None:
        yield "a key could be read after it was deleted"
    if not storage.put_if_absent(key, b"again"):
        yield "a key that was deleted could not be put again"


def _clean(storage: Storage, prefix: str) -> None:
    for folder in (prefix, f"{prefix}/race", f"{prefix}/read", f"{prefix}/list"):
        for name in storage.list_after(folder):
            try:
                storage.delete(f"{folder}/{name}")
            except StorageError:
                continue  # a folder of a local directory
