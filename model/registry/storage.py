"""Four verbs are all that the registry needs of a place to keep files: put if absent, get, list, delete.

Nothing is ever overwritten. Putting a key either makes the whole file appear at once under it, durably, or finds that
someone else's is there already; this is what every promise of the registry stands on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from model.errors import OversizedError, SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECT_STORAGE_SCHEMES = ("s3", "gs", "az")


class Storage(Protocol):
    """Keys are relative paths of plain names, such as `gender/log/0000000012.json`."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Make the key hold the content, durably. False where the key existed, which is then left as it was."""

    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        """The content, or None where there is no such key. OversizedError where it is larger than the maximum."""

    def list_after(self, prefix: str, after: str = "") -> list[str]:
        """The names directly under a prefix that sort after `after`, sorted."""

    def delete(self, key: str) -> None:
        """Remove the key; that there is none is not an error."""


def claim(storage: Storage, key: str, content: bytes) -> bool:
    """Put if absent, and on any doubt read back. True: the key holds our content. False: it holds another's.

    "It exists" may be said of one's own put whose reply was lost, or of nothing at all. Contents that are to be told
    apart differ by a transaction in them, so the same bytes are our own.
    """
    doubt: StorageError | None = None
    for _ in range(_CLAIM_ATTEMPTS):
        try:
            if storage.put_if_absent(key, content):
                return True
        except StorageError as error:
            doubt = error
        try:
            found = storage.get(key, len(content))
        except OversizedError:
            return False
        if found is not None:
            return found == content
    raise doubt or StorageError(f"{storage} says that {key} exists, and does not hold it")


_CLAIM_ATTEMPTS = 5


def check_writable(storage: Storage, *prefixes: str) -> None:
    """StorageError where keys under these prefixes could not be put, as far as a look can tell: only a put knows.

    It is for whoever is about to compute for long what is to be put. Of object storage nothing can be told.
    """
    if isinstance(storage, LocalStorage):
        for prefix in (LocalStorage.TEMPORARY, *prefixes):
            path = storage.root / prefix
            nearest = next((found for found in (path, *path.parents) if _may(found, os.F_OK)), path)
            if not (_may(nearest, os.W_OK | os.X_OK) and nearest.is_dir()):
                raise StorageError(
                    f"{storage} cannot be written: {nearest} is no directory that this user may write to"
                )


def open_storage(location: str) -> Storage:
    """The storage at a URL (s3://, gs://, az://) or, without a scheme, in a local directory. SettingsError."""
    if not location:
        raise SettingsError("an empty name cannot be a registry: a path or a URL is expected")
    if "://" not in location and not location.startswith(tuple(f"{scheme}:" for scheme in OBJECT_STORAGE_SCHEMES)):
        if os.path.isfile(location):  # noqa: PTH113 - Path's own raises where a folder above may not be looked into
            raise SettingsError(f"{location} cannot be a registry: it is a file, and a directory is expected")
        return LocalStorage(Path(location))
    if location.partition("://")[0] not in OBJECT_STORAGE_SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in OBJECT_STORAGE_SCHEMES)
        raise SettingsError(f"{location} cannot be a registry: a path, or a URL with one of {schemes} is expected")
    from model.registry.object_storage import ObjectStorage  # noqa: PLC0415 - an extra, and slow to import

    return ObjectStorage(location)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


class LocalStorage:
    """A directory. Opening it never writes, so a reader can be given it read-only."""

    TEMPORARY = ".temporary"

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """A temporary file, complete and on the disk, then a hard link to it: link(2) fails where the name exists."""
        target = self.root / key
        with _explained(f"writing {key} below {self.root}"):
            temporary = self.root / self.TEMPORARY / unique_name()
            _make_directory(temporary.parent)
            _make_directory(target.parent)
            try:
                _write_durably(temporary, content)
                os.link(temporary, target)
                created = True
            except FileExistsError:
                created = False
            finally:
                temporary.unlink(missing_ok=True)
            # Whoever finds a key there relies on it, so it is put on the disk in either case. Another process may have
            # made a directory above and not yet put it on the disk, so all are synced.
            for directory in (target.parent, *target.parent.parents):
                _sync_directory(directory)
                if directory == self.root:
                    break
        return created

    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        with _explained(f"reading {key} below {self.root}"):
            try:
                with (self.root / key).open("rb") as file:
                    content = file.read(maximum_bytes + 1)
            except FileNotFoundError:
                return None
        if len(content) > maximum_bytes:
            raise OversizedError(f"{key} is larger than the {maximum_bytes:,} bytes that it may have")
        return content

    def list_after(self, prefix: str, after: str = "") -> list[str]:
        with _explained(f"listing {prefix} below {self.root}"):
            try:
                names = [entry.name for entry in (self.root / prefix).iterdir()]
            except FileNotFoundError:
                return []
        return sorted(name for name in names if name > after)

    def delete(self, key: str) -> None:
        with _explained(f"deleting {key} below {self.root}"):
            (self.root / key).unlink(missing_ok=True)


def unique_name() -> str:
    """A name that no one else has, 32 hexadecimal digits that begin with the time: a UUID of version 7 (RFC 9562)."""
    milliseconds, chance = time.time_ns() // 1_000_000, secrets.randbits(74)
    return f"{milliseconds:012x}7{chance >> 62:03x}{0b10 << 62 | chance & (1 << 62) - 1:016x}"


def created_at(name: str) -> datetime | None:
    """The time in such a name, whatever comes after the 32 digits; None for another name."""
    match = re.match(r"(0[0-9a-f]{11})7[0-9a-f]{19}(?![0-9a-f])", name)  # until the year 2527
    return datetime.fromtimestamp(int(match[1], 16) / 1000.0, UTC) if match else None


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor is open already
            os.fchmod(descriptor, 0o644)  # whatever the umask: a reader may be another user
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _make_directory(path: Path) -> None:
    """The directory and those above it, each new one on the disk before anything is put into it."""
    if path.is_dir():
        return
    if path.parent != path:
        _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    """An operating system's error as ours, in words for whoever looks after the disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_HARD_LINKS and error.filename2 is not None:
            raise StorageError(
                f"{doing} failed: this file system makes no hard links ({error.strerror}), and without them no version "
                "could be published safely. Put the registry on another file system."
            ) from error
        raise StorageError(f"{doing} failed: {error.strerror or error}") from error
