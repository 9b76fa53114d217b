"""Put if absent on a local directory: all or nothing, once, durable, and never a write for a mere look."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from model.errors import StorageError
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "registry")


def test_what_was_put_is_got(storage: LocalStorage) -> None:
    assert storage.put_if_absent("gender/log/1", b"first")
    assert storage.get("gender/log/1", 5) == b"first"


def test_a_key_that_exists_is_left_as_it_was(storage: LocalStorage) -> None:
    storage.put_if_absent("key", b"first")
    assert not storage.put_if_absent("key", b"second")
    assert storage.get("key", 10) == b"first"


def test_of_many_writers_exactly_one_wins_and_its_content_is_there(storage: LocalStorage) -> None:
    for round_number in range(20):
        barrier = threading.Barrier(8)

        def put(writer: int, key: str = f"rounds/{round_number}", barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return storage.put_if_absent(key, bytes([writer]) * 1000)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
        assert won.count(True) == 1
        assert storage.get(f"rounds/{round_number}", 1000) == bytes([won.index(True)]) * 1000


def test_a_missing_key_is_none_and_a_missing_folder_is_empty(storage: LocalStorage) -> None:
    assert storage.get("no/such/key", 10) is None
    assert storage.list_after("no/such") == []


def test_looking_never_writes(storage: LocalStorage) -> None:
    storage.get("key", 10)
    storage.list_after("")
    assert not storage.root.exists()


def test_names_are_listed_sorted_and_after_a_name(storage: LocalStorage) -> None:
    for name in ("3", "1", "2"):
        storage.put_if_absent(f"log/{name}", b"")
    assert storage.list_after("log") == ["1", "2", "3"]
    assert storage.list_after("log", "1") == ["2", "3"]


def test_no_more_is_read_than_allowed(storage: LocalStorage) -> None:
    storage.put_if_absent("key", b"12345")
    with pytest.raises(StorageError, match="larger than the 4 bytes"):
        storage.get("key", 4)


def test_deleting_twice_is_no_error(storage: LocalStorage) -> None:
    storage.put_if_absent("key", b"")
    storage.delete("key")
    storage.delete("key")
    assert storage.get("key", 1) is None


def test_files_can_be_read_by_another_user_whatever_the_umask(storage: LocalStorage) -> None:
    before = os.umask(0o077)
    try:
        storage.put_if_absent("key", b"")
    finally:
        os.umask(before)
    assert (storage.root / "key").stat().st_mode & 0o777 == 0o644


def test_nothing_temporary_is_left_behind(storage: LocalStorage) -> None:
    storage.put_if_absent("key", b"")
    storage.put_if_absent("key", b"")
    assert list((storage.root / LocalStorage.TEMPORARY).iterdir()) == []


def test_a_file_system_without_hard_links_is_refused_loudly(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StorageError, match="makes no hard links"):
        storage.put_if_absent("key", b"")


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"writing key below .*: File exists"):
        LocalStorage(tmp_path / "file").put_if_absent("key", b"")
