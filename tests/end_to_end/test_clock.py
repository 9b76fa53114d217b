"""The clock of the day is set by hours, forwards and back, while a service runs: nobody notices."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import debian
import pytest
from end_to_end.independent import Independent
from end_to_end.running_service import RunningService, serve, wait_for

from model.registry.audit import problems
from model.tokens import new_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.registry import Registry

HOUR_SECONDS = 3600
JUMPS_HOURS = (5, -5, 0)
"""By how much the service's clock is ahead of the machine's, in this order."""
PERSON = {"weight_lb": 160.0, "height_in": 66.0}
ADMIN, ADMIN_LINE = new_token("deploy", ["admin"])
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}


class Clock:
    """The clock that a service sees: its C library's, which tells the machine's time, moved."""

    def __init__(self, folder: Path) -> None:
        debian.install("gcc", "libc6-dev", are_there=lambda: shutil.which("cc"))
        library, self._file = folder / "jumping_clock.so", folder / "moved"
        source = Path(__file__).with_name("jumping_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True, timeout=60)
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "JUMPING_CLOCK": str(self._file)}

    def move(self, hours: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", hours * HOUR_SECONDS))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def last_sign_of_life(worker: int) -> float:
    """When a worker last told gunicorn that it lives, by the monotonic clock: the time of the file that it touches."""
    for entry in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a file that the watcher has just closed
            if "wgunicorn-" in str(entry.readlink()):
                return entry.stat().st_mtime
    raise AssertionError(f"worker {worker} gives no sign of life")


def told_time(service: RunningService) -> float:
    """What an answer's Date says, in seconds since 1970."""
    connection = service.connect()
    connection.request("GET", "/livez")
    response = connection.getresponse()
    response.read()
    connection.close()
    return time.mktime(time.strptime(response.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone


@pytest.mark.parametrize("lane", ["fast", "flask"])
def test_a_clock_that_is_set_by_hours_changes_no_answer_and_ends_no_worker(
    trained: Registry, tmp_path: Path, clock: Clock, lane: str, record_property: Callable[[str, object], None]
) -> None:
    networks = {number: Independent(trained.storage.root, number) for number in (1, 2)}
    settings = {"STATURE_LANE": lane, "STATURE_TOKENS": ADMIN_LINE, "STATURE_OPEN_SCOPES": "predict,read"}
    people = 0
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2", **settings, **clock.environment) as service:
        workers = service.workers()

        def predict(version: int) -> None:
            nonlocal people
            status, answer = service.request("POST", "/predict", PERSON)
            people += status == 200
            assert (status, answer["model_version"]) == (200, version)
            assert abs(answer["probability_female"] - networks[version](*PERSON.values())) < 1e-12

        def followed(log_number: int) -> bool:
            return all(service.request("GET", "/readyz")[1]["log_number"] == log_number for _ in range(20))

        predict(1)
        for turn, hours in enumerate(JUMPS_HOURS, start=1):
            clock.move(hours)
            moved_at = time.monotonic()
            wait_for(lambda hours=hours: abs(told_time(service) - time.time() - hours * HOUR_SECONDS) < 600)
            # Promotions by the service, whose clock has been set, and by another, whose clock has not.
            connection = service.connect()
            connection.request("PUT", "/aliases/champion", '{"version": 2}', AS_ADMIN)
            assert connection.getresponse().status == 200
            connection.close()
            wait_for(lambda: followed(trained.head().number))
            predict(2)
            trained.rollback(by="another")
            wait_for(lambda: followed(trained.head().number))
            predict(1)
            # What fails has its line, and the people of the last hour are still those of the last hour.
            assert service.request("GET", "/predict")[0] == 405
            wait_for(lambda turn=turn: service.log.read_text().count('"status": 405') == turn, service.log.read_text)
            assert service.request("GET", "/drift")[1]["people"] == people
            for worker in workers:
                wait_for(lambda worker=worker, at=moved_at: last_sign_of_life(worker) > at + 1.0)
            assert service.workers() == workers
        assert service.terminate() == 0
    assert "Traceback" not in service.log.read_text()
    records = list(trained.log())
    assert [record.number for record in records] == list(range(1, 2 + 2 * len(JUMPS_HOURS)))
    assert sorted(record.at for record in records) == [record.at for record in records]
    assert not list(problems(trained))
    record_property("jumps of the clock", len(JUMPS_HOURS))
    record_property("promotions and rollbacks", 2 * len(JUMPS_HOURS))


def test_a_deadline_is_kept_whatever_the_clock_of_the_day_says(
    trained: Registry, tmp_path: Path, clock: Clock, record_property: Callable[[str, object], None]
) -> None:
    limits = {"STATURE_HEAD_SECONDS": "1", "STATURE_BODY_SECONDS": "60"}
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1", **limits, **clock.environment) as service:
        body = b'{"weight_kg": 73, "height_cm": 182}'
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(
            body
        )
        for hours in JUMPS_HOURS:
            with (
                socket.create_connection(("127.0.0.1", service.port), timeout=30) as whole,
                socket.create_connection(("127.0.0.1", service.port), timeout=30) as half,
            ):
                whole.sendall(head + b"\r\n" + body[:5])
                half.sendall(head)
                assert service.request("GET", "/livez")[0] == 200
                clock.move(hours)
                assert half.recv(1 << 12).startswith(b"HTTP/1.1 408 ")
                whole.sendall(body[5:])
                assert whole.recv(1 << 12).startswith(b"HTTP/1.1 200 ")
    record_property("jumps of the clock", len(JUMPS_HOURS))
