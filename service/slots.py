"""Numbers that the workers of a service count together: one file in memory for each, summed by whoever is asked.

A worker takes the first slot that no living process holds, and counts on from where the one before it stopped. So no
number goes back, none is counted twice, and there are as many files as there were ever workers at one time, however
often they are replaced. A slot is held by a lock on its file, which the system takes away from a process that ends in
whatever way.

A file is 4 MiB, of which only what is used takes memory: 8 bytes that say how many are used, then blocks. A block is
the length of its key and of its numbers, 4 bytes each; the key; and the numbers, 8 bytes each, none of which a reader
can see half-written.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model.network.network import Array

DIRECTORY_VARIABLE = "STATURE_SLOTS_DIRECTORY"
"""How the server's master tells its workers where the files are."""

_FILE_BYTES = 4 << 20
_USED, _LENGTHS = struct.Struct("=Q"), struct.Struct("=II")
_PREFIX = "stature-slots-"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """What was counted in one slot, by a worker that is alive or by its predecessors alone."""

    number: int
    alive: bool
    blocks: Mapping[str, Array]


class Slots:
    """This process's own slot, to count in, and all slots, to read. Counting is for one thread at a time."""

    def __init__(self, directory: Path | None = None) -> None:
        """In the directory that the workers share; without one, in the memory of this process, which is then alone."""
        self._directory = directory
        self._blocks: dict[str, memoryview[float]] = {}
        self.number, file = 1, -1
        if directory is not None:
            try:
                self.number, file = _take(directory)
            except FileNotFoundError:
                # To read it fails, and to answer does not: a worker that cannot begin would end the whole service.
                _logger.error("%s is gone: /metrics and /drift fail until the service is started anew", directory)  # noqa: TRY400
        self._file = file
        self._shared = file >= 0 and _reserve(file, 0, _USED.size)
        self._memory = mmap.mmap(file if self._shared else -1, _FILE_BYTES)
        self._used = _USED.unpack_from(self._memory)[0] or _USED.size
        for key, start, count in _blocks(memoryview(self._memory)[: self._used]):
            self._blocks[key] = self._numbers(start, count)

    @property
    def keys(self) -> list[str]:
        """Of the blocks that are there, those of a predecessor included."""
        return list(self._blocks)

    def block(self, key: str, numbers: int) -> memoryview[float]:
        """These numbers of one's own, floats, all zero when they are first asked for."""
        if key not in self._blocks:
            name = key.encode()
            name += b"\0" * (-len(name) % 8)
            start = self._used + _LENGTHS.size + len(name)
            end = start + 8 * numbers
            if end > _FILE_BYTES:
                raise MemoryError(f"a slot holds {_FILE_BYTES} bytes, and {key!r} is too much")
            if self._shared and not _reserve(self._file, self._used, end):
                # Counted, and shown to nobody: the service goes on.
                self._blocks[key] = memoryview(bytearray(8 * numbers)).cast("d")
                return self._blocks[key]
            # What a predecessor left half-made lies here: it was killed before it said that it used this much.
            self._memory[self._used : end] = _LENGTHS.pack(len(name), numbers) + name + bytes(8 * numbers)
            self._used = end
            self._memory[: _USED.size] = _USED.pack(end)
            self._blocks[key] = self._numbers(start, numbers)
        return self._blocks[key]

    def read(self) -> list[Slot]:
        """Every slot that was ever taken, in the order of their numbers."""
        slots = [_slot(self.number, self._memory[: self._used], alive=True)]
        if self._directory is not None:
            with _locked(self._directory):
                for path in self._directory.glob("slot-*"):
                    number = int(path.name.removeprefix("slot-"))
                    if number != self.number:
                        slots.append(_read(number, path))
        return sorted(slots, key=lambda slot: slot.number)

    def close(self) -> None:
        """Leave the slot to another, as the end of the process does. Nothing may be counted after it."""
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)

    def _numbers(self, start: int, count: int) -> memoryview[float]:
        return memoryview(self._memory)[start : start + 8 * count].cast("d")


def totals(slots: list[Slot]) -> dict[str, Array]:
    """The sums over all slots, by the keys of the blocks."""
    summed: dict[str, Array] = {}
    for slot in slots:
        for key, numbers in slot.blocks.items():
            summed[key] = summed[key] + numbers if key in summed else numbers
    return summed


def make_directory() -> Path:
    """A new directory for the slots of one service, in memory where there is such a place.

    It is locked for as long as this process lasts, or a child of it. What a service left that was killed is removed:
    nobody holds the lock on it any more.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a directory of one's own is made in it
    place = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = _hold(left)
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        # Another service that starts just now may have taken it for one that was left, and removed it.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            _hold(path)
            return path


def _hold(path: Path) -> int:
    """The descriptor that holds it. BlockingIOError where another process, or a child of one, does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time looks which slots are free: a look at a lock takes it for that moment."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(directory: Path) -> tuple[int, int]:
    """The number of the first slot that is free, and its file, which must stay open."""
    number = 0
    with _locked(directory):
        while True:
            number += 1
            file = os.open(directory / f"slot-{number}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                os.ftruncate(file, _FILE_BYTES)
                return number, file


def _reserve(file: int, start: int, end: int) -> bool:
    """Whether there is memory for these bytes of the file. To write without any would kill the process (SIGBUS)."""
    try:
        os.posix_fallocate(file, start, end - start)
    except OSError as error:
        _logger.warning("no memory to count in: %s; some of this worker's numbers are not in /metrics", error.strerror)
        return False
    return True


def _read(number: int, path: Path) -> Slot:
    file = os.open(path, os.O_RDONLY)
    try:
        used = _USED.unpack(os.pread(file, _USED.size, 0))[0]
        content = os.pread(file, used, 0)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _slot(number, content, alive=True)
        return _slot(number, content, alive=False)
    finally:
        os.close(file)


def _slot(number: int, content: bytes, *, alive: bool) -> Slot:
    blocks = {
        key: np.frombuffer(content, np.float64, count, start) for key, start, count in _blocks(memoryview(content))
    }
    return Slot(number, alive, blocks)


def _blocks(content: memoryview) -> Iterator[tuple[str, int, int]]:
    """The key of each block, where its numbers start, and how many they are."""
    at = _USED.size
    while at < len(content):
        length, count = _LENGTHS.unpack_from(content, at)
        start = at + _LENGTHS.size + length
        yield bytes(content[at + _LENGTHS.size : start]).rstrip(b"\0").decode(), start, count
        at = start + 8 * count
