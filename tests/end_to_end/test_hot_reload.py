"""Promotions and rollbacks in a row while requests run: no answer fails, none is of two versions, memory stays flat.

Every number is compared with the network computed from the npz file, by numpy alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import RunningService, serve, wait_for
from end_to_end.test_serving import Independent

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.registry import Registry

PEOPLE = [(50.0, 150.0), (73.0, 182.0), (110.0, 175.5), (61.25, 168.0)]
CLIENTS = 3
FOLLOWING_SECONDS = 2.0


class Client(threading.Thread):
    """Asks on one connection until it is stopped, and checks every answer."""

    def __init__(self, service: RunningService, networks: dict[int, Independent]) -> None:
        super().__init__()
        self.expected = {
            number: [network(weight / 0.45359237, height / 2.54) for weight, height in PEOPLE]
            for number, network in networks.items()
        }
        self.stopping = threading.Event()
        self.connection = service.connect()
        self.seen: dict[int, int] = dict.fromkeys(networks, 0)
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.ask()
        except BaseException as failure:
            self.failure = failure
            raise
        finally:
            self.connection.close()

    def ask(self) -> None:
        columns = {"weight_kg": [w for w, _ in PEOPLE], "height_cm": [h for _, h in PEOPLE]}
        person = {"weight_kg": PEOPLE[0][0], "height_cm": PEOPLE[0][1]}
        for path, document, count in (("/predict", person, 1), ("/predict/columns", columns, len(PEOPLE))):
            self.connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            number = answer["model_version"]
            assert response.headers["X-Model-Version"] == str(number)
            found = answer["probability_female"]
            assert (found if isinstance(found, list) else [found]) == pytest.approx(
                self.expected[number][:count], abs=1e-12
            )
            self.seen[number] += 1


def resident_kilobytes(process: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def follows(service: RunningService, log_number: int) -> bool:
    return all(service.request("GET", "/readyz")[1]["log_number"] == log_number for _ in range(8))


@pytest.mark.parametrize("moves", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_champions_change_under_load_and_nobody_notices(
    trained: Registry, tmp_path: Path, moves: int, record_property: Callable[[str, object], None]
) -> None:
    networks = {number: Independent(trained.storage.root, number) for number in (1, 2)}
    trained.promote(2, by="a test")
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2", STATURE_POLL_SECONDS="0.01") as service:
        workers = service.workers()
        clients = [Client(service, networks) for _ in range(CLIENTS)]
        for client in clients:
            client.start()

        def each_client_has_seen_both() -> bool:
            trained.promote(1 if trained.head().champion == 2 else 2, by="a test")
            return all(client.failure or min(client.seen.values()) > 5 for client in clients)

        wait_for(each_client_has_seen_both)  # all has been loaded then, and each way of asking has been used
        before = {worker: resident_kilobytes(worker) for worker in workers}
        for move in range(moves):
            if move % 2:
                trained.rollback(by="a test")
            else:
                trained.promote(1 if trained.head().champion == 2 else 2, by="a test")
        wait_for(lambda: follows(service, trained.head().number), seconds=FOLLOWING_SECONDS)
        assert all(client.failure is None for client in clients)
        for client in clients:
            client.stopping.set()
            client.join()
        assert service.workers() == workers
        assert all(resident_kilobytes(worker) < before[worker] + 8_000 for worker in workers)
        log = service.log.read_text()
    assert all(min(client.seen.values()) > 5 for client in clients)
    assert "ERROR" not in log
    record_property("promotions and rollbacks", moves)
    record_property("answers, every one right", sum(sum(client.seen.values()) for client in clients))


def damage(content: bytes, how: str) -> bytes | None:
    match how:
        case "gone":
            return None
        case "empty":
            return b""
        case "cut":
            return content[:-20]
        case "other bytes":
            return bytes(len(content))
        case _:
            return content[:-1] + bytes([content[-1] ^ 1])


def test_a_bad_version_never_stops_the_old_one(
    trained: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Promoting looks at the version first. What is bad here goes bad between that look and the service's.
    monkeypatch.setattr(trained, "load", lambda number: None)
    networks = {number: Independent(trained.storage.root, number) for number in (1, 2)}
    artifact = trained.storage.root / "gender" / trained.manifest(2).files.weights.key
    good = artifact.read_bytes()
    with contextlib.ExitStack() as opened:
        service = opened.enter_context(
            serve(trained.storage.root, tmp_path / "log", "--workers", "2", STATURE_POLL_SECONDS="0.01")
        )
        client = Client(service, networks)
        opened.callback(client.connection.close)
        for how in ("gone", "empty", "cut", "other bytes", "one bit"):
            artifact.unlink(missing_ok=True)
            if (bad := damage(good, how)) is not None:
                artifact.write_bytes(bad)
            trained.promote(2, by="a test")
            number = trained.head().number
            wait_for(lambda number=number: follows(service, number))
            client.ask()
            assert client.seen[2] == 0
            trained.rollback(by="a test")
            number = trained.head().number
            wait_for(lambda number=number: follows(service, number))
        artifact.unlink(missing_ok=True)
        artifact.write_bytes(good)
        trained.promote(2, by="a test")
        wait_for(lambda: service.request("GET", "/readyz")[1]["model_version"] == 2)
        client.ask()
        assert "serving version 1: champion: " in service.log.read_text()
