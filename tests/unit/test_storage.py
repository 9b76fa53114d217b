"""What is true of a local directory alone; what holds of every storage is in integration/test_object_storage.py."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from model.errors import SettingsError, StorageError
from model.registry.storage import LocalStorage, check_writable, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "registry")


def test_looking_never_writes(storage: LocalStorage) -> None:
    storage.get("key", 10)
    storage.list_after("")
    assert not storage.root.exists()


def test_a_file_is_no_registry_though_what_is_not_there_yet_may_become_one(tmp_path: Path) -> None:
    (file := tmp_path / "people.csv").write_text("sex,weight_kg,height_cm")
    with pytest.raises(SettingsError, match=r"people\.csv cannot be a registry: it is a file, and a directory"):
        open_storage(str(file))
    assert str(open_storage(str(tmp_path / "registry"))) == str(tmp_path / "registry")


@pytest.mark.parametrize("location", ["s3:bucket/folder", "s3:/bucket/folder", "gs:/bucket", "az:/container"])
def test_a_url_that_lacks_a_slash_is_no_folder(location: str) -> None:
    with pytest.raises(SettingsError, match="cannot be a registry: a path, or a URL with one of s3://, gs://, az://"):
        open_storage(location)
    assert str(open_storage(f"./{location}")) == location, "a folder of this name is written so"


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


def test_a_file_in_place_of_a_folder_is_not_taken_for_an_empty_one(storage: LocalStorage) -> None:
    storage.put_if_absent("gender/log", b"")
    for look in (lambda: storage.list_after("gender/log"), lambda: storage.get("gender/log/0000000001.json", 10)):
        with pytest.raises(StorageError, match="failed: Not a directory"):
            look()


def test_a_look_tells_that_a_registry_cannot_be_written_and_leaves_nothing_behind(storage: LocalStorage) -> None:
    check_writable(storage, "gender/artifacts")
    assert not storage.root.exists()
    storage.put_if_absent("gender/artifacts", b"a file in place of a folder")
    check_writable(storage, "gender/versions")
    with pytest.raises(StorageError, match=r"artifacts is no directory that this user may write to"):
        check_writable(storage, "gender/artifacts")


@pytest.mark.parametrize("refusing", ["gender", "gender/versions", LocalStorage.TEMPORARY])
def test_a_look_tells_that_a_folder_of_the_registry_may_not_be_written(refusing: str) -> None:
    with TemporaryDirectory() as folder:  # into which others may look, unlike pytest's
        Path(folder).chmod(0o755)
        storage = LocalStorage(Path(folder) / "registry")
        storage.put_if_absent("gender/versions/0000000001.json", b"")
        for path in (storage.root, *storage.root.rglob("*")):
            path.chmod(0o777)
        (storage.root / refusing).chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:  # who may write anywhere
                os.seteuid(65534)
            with pytest.raises(StorageError, match=r"registry cannot be written: .* is no directory that this user"):
                check_writable(storage, "gender/artifacts", "gender/versions")
        finally:
            os.seteuid(user)
            (storage.root / refusing).chmod(0o777)


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"writing key below .*: File exists"):
        LocalStorage(tmp_path / "file").put_if_absent("key", b"")
