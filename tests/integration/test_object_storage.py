"""The four verbs behave alike on every kind of storage, failures are named, and a whole life goes well on each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import STATURE, free_port, serve, wait_for
from stores.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from stores.fixtures import fresh, use

from model.errors import SettingsError, StorageError
from model.registry.audit import problems
from model.registry.registry import Registry
from model.registry.storage import Storage, open_storage
from service.live_models import LiveModels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stores.store import Store

WRITER = Path(__file__).with_name("storage_writer.py")


# The four verbs


def test_what_was_put_is_got(storage: Storage) -> None:
    assert storage.put_if_absent("gender/log/1", b"first")
    assert storage.get("gender/log/1", 5) == b"first"


def test_a_key_that_exists_is_left_as_it_was(storage: Storage) -> None:
    storage.put_if_absent("key", b"first")
    assert not storage.put_if_absent("key", b"second")
    assert not storage.put_if_absent("key", b"first")
    assert storage.get("key", 10) == b"first"


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    assert storage.put_if_absent("key", b"")
    assert not storage.put_if_absent("key", b"")
    assert storage.get("key", 0) == b""


def test_of_many_threads_exactly_one_wins_and_its_content_is_there(storage: Storage) -> None:
    for round_number in range(20):
        barrier = threading.Barrier(8)

        def put(writer: int, key: str = f"rounds/{round_number}", barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return storage.put_if_absent(key, bytes([writer]) * 1000)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
        assert won.count(True) == 1
        assert storage.get(f"rounds/{round_number}", 1000) == bytes([won.index(True)]) * 1000


def test_of_many_processes_exactly_one_wins_each_key(location: str) -> None:
    rounds, names = 30, [str(number) for number in range(4)]
    writers = [
        subprocess.Popen(
            [sys.executable, str(WRITER), location, name, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for writer in writers:  # all have started before any is let go
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    won = [set(map(int, writer.communicate(timeout=120)[0].split())) for writer in writers]
    storage = open_storage(location)
    for key in range(rounds):
        assert [name for name, keys in zip(names, won, strict=True) if key in keys] == [
            (storage.get(f"keys/{key}", 100) or b"").decode()
        ]


def test_a_missing_key_is_none_and_a_missing_folder_is_empty(storage: Storage) -> None:
    assert storage.get("no/such/key", 10) is None
    assert storage.list_after("no/such") == []


def test_names_are_listed_sorted_and_after_a_name(storage: Storage) -> None:
    for name in ("3", "1", "2"):
        storage.put_if_absent(f"log/{name}", b"")
    storage.put_if_absent("logs/4", b"")
    assert storage.list_after("log") == ["1", "2", "3"]
    assert storage.list_after("log", "1") == ["2", "3"]
    assert storage.list_after("log", "3") == []


def test_more_names_than_one_page_are_listed(object_store: Store) -> None:
    storage = open_storage(fresh(object_store))
    names = [f"{number:010}.json" for number in range(1, 1103)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: storage.put_if_absent(f"log/{name}", b""), names))
    assert storage.list_after("log") == names
    assert storage.list_after("log", names[1000]) == names[1001:]


def test_no_more_is_read_than_allowed(storage: Storage) -> None:
    storage.put_if_absent("key", b"12345")
    with pytest.raises(StorageError, match="larger than the 4 bytes"):
        storage.get("key", 4)


def test_deleting_twice_is_no_error(storage: Storage) -> None:
    storage.put_if_absent("log/1", b"")
    storage.delete("log/1")
    storage.delete("log/1")
    assert storage.get("log/1", 1) is None
    assert storage.list_after("log") == []


# Failures, named


@pytest.fixture
def proxy(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy to each object store, and the variables that lead through it."""
    with faulty_proxy(object_store.port) as proxy:
        use(object_store.through(proxy.port), monkeypatch)
        yield proxy


@pytest.fixture
def behind(proxy: FaultyProxy, object_store: Store) -> Storage:
    """An empty storage behind the proxy."""
    return open_storage(fresh(object_store))


def test_a_large_object_is_not_read_whole(behind: Storage, proxy: FaultyProxy) -> None:
    behind.put_if_absent("key", bytes(48 << 20))
    with pytest.raises(StorageError, match="larger than the 1,000 bytes"):
        behind.get("key", 1000)
    assert proxy.relayed_bytes < 24 << 20  # what the buffers of a connection take, and no more


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.SLOW])
def test_a_store_that_is_unavailable_for_a_moment_is_asked_again(
    behind: Storage, proxy: FaultyProxy, fault: Fault
) -> None:
    proxy.once(fault, "PUT", times=2)
    assert behind.put_if_absent("key", b"first")
    proxy.once(fault, "GET", times=2)
    assert behind.get("key", 10) == b"first"


def test_a_store_that_stays_unavailable_is_named(behind: Storage, proxy: FaultyProxy) -> None:
    proxy.once(Fault.UNAVAILABLE, "PUT", times=1000)
    with pytest.raises(StorageError, match=f"writing key in {behind} failed: .*"):
        behind.put_if_absent("key", b"first")
    proxy.once(Fault.UNAVAILABLE, "GET", times=1000)
    with pytest.raises(StorageError, match=f"reading key in {behind} failed: .*"):
        behind.get("key", 10)


def test_after_a_lost_reply_the_key_tells_who_won(behind: Storage, proxy: FaultyProxy) -> None:
    """What the put says is False, or an error, though it was carried out: so the registry reads the key back."""
    proxy.once(Fault.LOST_REPLY, "PUT")
    with contextlib.suppress(StorageError):
        behind.put_if_absent("key", b"first")
    assert behind.get("key", 10) == b"first"


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.UNAVAILABLE, Fault.CONFLICT, Fault.CUT, Fault.SLOW])
def test_a_version_is_published_once_and_promoted_once_whatever_a_put_meets(
    trained: Registry, object_store: Store, proxy: FaultyProxy, fault: Fault
) -> None:
    """The registry reads back what it cannot be sure of: lost replies, and conflicts that stored nothing."""
    from integration.registry_worker import another

    registry = Registry(open_storage(fresh(object_store)), "gender")
    draft = trained.manifest(1)
    for number in (1, 2):
        proxy.once(fault, "PUT", times=2)
        assert registry.publish(*another(draft, number), by="a test").manifest.number == number
        proxy.once(fault, "PUT", times=2)
        assert registry.promote(number, by="a test").number == number
    assert registry.numbers() == registry.record_numbers() == [1, 2]
    assert list(problems(registry)) == []
    assert proxy.faults[fault] > 0


def test_a_bucket_that_is_not_there_is_named(object_store: Store) -> None:
    storage = open_storage(f"{object_store.root}-missing/registry")
    code = "ContainerNotFound" if object_store.name == "azurite" else "NoSuchBucket"
    for doing, call in (
        ("writing key", lambda: storage.put_if_absent("key", b"")),
        ("reading key", lambda: storage.get("key", 10)),
        ("listing log", lambda: storage.list_after("log")),
    ):
        with pytest.raises(
            StorageError, match=rf"{doing} in {object_store.root}-missing/registry failed: .*\({code}\)"
        ):
            call()


def test_plain_http_that_was_not_allowed_is_named(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageError, match="AWS_ALLOW_HTTP or AZURE_ALLOW_HTTP"):
        open_storage(fresh(object_store)).get("key", 10)


def test_an_endpoint_where_nothing_listens_is_named(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    use(object_store.through(free_port()), monkeypatch)
    storage = open_storage(f"{object_store.root}/registry")
    with pytest.raises(StorageError, match=f"reading key in {object_store.root}/registry failed: .*"):
        storage.get("key", 10)


def test_a_store_that_is_away_is_said_once_in_the_log_and_not_at_every_look(
    object_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(object_store.through(free_port()), monkeypatch)
    live_models = LiveModels(Registry(open_storage(f"{object_store.root}/registry"), "gender"), poll_seconds=3600.0)
    for _ in range(3):
        live_models.follow()
    (message,) = caplog.messages
    assert f"in {object_store.root}/registry failed: " in message


def test_wrong_credentials_are_named(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if object_store.name == "moto":
        return  # it believes everybody
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=")
    storage = open_storage(f"{object_store.root}/registry")
    with pytest.raises(StorageError, match=r"writing key in .* failed: .*(40[13]|denied|permission|Unauthorized)"):
        storage.put_if_absent("key", b"")


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/registry", "s3://", "az://", "gs://", "S3://bucket", "http://127.0.0.1:1/bucket", "://bucket"],
)
def test_an_address_that_cannot_be_is_said_to_be(url: str) -> None:
    with pytest.raises(SettingsError, match="cannot be a registry"):
        open_storage(url)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "model.registry.object_storage", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'stature\[object-storage\]'"):
        open_storage("s3://bucket/registry")


# A whole life


def stature(*arguments: str) -> str:
    done = subprocess.run([str(STATURE), *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_registry_is_trained_moved_read_and_served_wherever_it_is(location: str, tmp_path: Path) -> None:
    def said(command: str, *arguments: str) -> str:
        return stature(command, "--registry", location, *arguments)

    said("train", "--seed", "1")
    said("train", "--seed", "2")
    assert [version["model_version"] for version in json.loads(said("models", "--json"))] == [2, 1]
    champion = json.loads(said("log", "--json"))[-1]["state"]["aliases"]["champion"]
    if champion == 2:
        said("rollback")
    person = {"weight_kg": 73, "height_cm": 182}
    flags = ("--weight-kg", "73", "--height-cm", "182")
    with serve(location, tmp_path / "service.log", "--workers", "1", STATURE_POLL_SECONDS="0.1") as service:
        assert service.request("POST", "/predict", person)[1]["model_version"] == 1
        said("promote", "2", "--expect", "1", "--reason", "a test")
        wait_for(
            lambda: service.request("POST", "/predict", person)[1]["model_version"] == 2,
            (tmp_path / "service.log").read_text,
        )
        answer = service.request("POST", "/predict", person)[1]
        assert json.loads(said("predict", "--json", *flags))["probability_female"] == pytest.approx(
            answer["probability_female"], abs=1e-14
        )
        said("rollback", "--expect", "2")
        wait_for(lambda: service.request("POST", "/predict", person)[1]["model_version"] == 1)
        assert service.terminate() == 0
    said("verify")
    assert [record["operation"]["name"] for record in json.loads(said("log", "--json"))][-2:] == ["promote", "rollback"]
