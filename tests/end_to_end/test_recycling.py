"""Workers are replaced while requests run, by gunicorn's own option or by SIGHUP, and no request fails."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from end_to_end.load import load_on
from end_to_end.running_service import RunningService, serve, wait_for

from model.tokens import new_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model.registry.registry import Registry

LANES = ("fast", "flask")
REPLACED = 12


@pytest.fixture
def service(request: pytest.FixtureRequest, _trained_once: Path, tmp_path: Path) -> Iterator[RunningService]:
    lane, options = request.param
    settings = {"STATURE_LANE": lane, "GUNICORN_CMD_ARGS": options}
    with serve(_trained_once, tmp_path / "log", "--workers", "2", **settings) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize(
    "service", [(lane, "--max-requests 300 --max-requests-jitter 100") for lane in LANES], indirect=True, ids=LANES
)
def test_workers_that_are_replaced_after_so_many_requests_lose_none(
    service: RunningService, record_property: Callable[[str, object], None]
) -> None:
    seen = set(service.workers())

    def replaced() -> bool:
        seen.update(service.workers())
        return len(seen) >= 2 + REPLACED

    with load_on(service.port, clients=4, afresh=2) as load:
        wait_for(replaced)
    assert load.failures == []
    assert load.versions == {1}
    record_property("answers", load.answered)
    record_property("workers replaced", len(seen) - 2)


@pytest.mark.parametrize("service", [(lane, "") for lane in LANES], indirect=True, ids=LANES)
def test_workers_that_are_replaced_by_sighup_lose_no_request(
    service: RunningService, record_property: Callable[[str, object], None]
) -> None:
    with load_on(service.port, clients=4, afresh=2) as load:
        for _ in range(REPLACED // 2):
            before = set(service.workers())
            service.process.send_signal(signal.SIGHUP)
            wait_for(lambda before=before: len(service.workers()) == 2 and not before & set(service.workers()))
            load.goes_on()
    assert load.failures == []
    assert load.versions == {1}
    record_property("answers", load.answered)
    record_property("workers replaced", REPLACED)


@pytest.mark.parametrize("service", [("fast", "")], indirect=True, ids=["fast"])
def test_a_request_on_its_way_to_a_worker_that_ends_is_answered_as_its_last(service: RunningService) -> None:
    wait_for(lambda: service.log.read_text().count("Started server process") == 2, service.log.read_text)
    before, connection = service.workers(), service.connect()
    connection.request("GET", "/livez")
    assert connection.getresponse().read() == b'{"status": "alive"}'
    connection.sock.sendall(b"GET /livez HT")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.log.read_text().count("Shutting down") == 2, service.log.read_text)
    connection.sock.sendall(b"TP/1.1\r\nHost: a\r\n\r\n")
    response = http.client.HTTPResponse(connection.sock)
    response.begin()
    assert (response.status, response.headers["Connection"]) == (200, "close")
    assert response.read() == b'{"status": "alive"}'
    assert connection.sock.recv(1) == b""
    connection.close()
    wait_for(lambda: not set(before) & set(service.workers()))


@pytest.mark.parametrize("service", [("fast", "")], indirect=True, ids=["fast"])
def test_a_connection_that_asks_nothing_does_not_keep_a_worker_from_ending(service: RunningService) -> None:
    used = service.connect()
    used.request("GET", "/livez")
    used.getresponse().read()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as silent:
        assert service.terminate() == 0
        assert (used.sock.recv(1), silent.recv(1)) == (b"", b"")
    used.close()


@pytest.mark.parametrize("lane", LANES)
def test_a_file_of_tokens_that_has_become_wrong_ends_no_service(trained: Registry, tmp_path: Path, lane: str) -> None:
    (old, old_line), (new, new_line) = (new_token("dashboard", ["read"]) for _ in range(2))
    (tokens := tmp_path / "tokens").write_text(old_line)
    settings = {"STATURE_LANE": lane, "STATURE_TOKENS_FILE": str(tokens)}
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2", **settings) as service:

        def replaced(by: Callable[[], None]) -> None:
            before = service.workers()
            by()
            wait_for(lambda: len(now := service.workers()) == 2 and not set(before) <= set(now), service.log.read_text)

        def statuses() -> list[int]:
            return [service_status(service, token) for token in (old, new)]

        tokens.write_text(f"{new_line}\nnot a line of tokens")
        replaced(lambda: service.process.send_signal(signal.SIGHUP))
        replaced(lambda: os.kill(service.workers()[0], signal.SIGKILL))
        wait_for(lambda: statuses() == [200, 401], service.log.read_text)
        assert f"line 2 of {tokens} (STATURE_TOKENS_FILE) has 5 parts" in service.log.read_text()
        tokens.write_text(new_line)
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: [statuses() for _ in range(5)] == [[401, 200]] * 5, service.log.read_text)
        assert "Traceback" not in service.log.read_text()


def service_status(service: RunningService, token: str) -> int:
    """Of a request with this token; 0 where a worker that was ended has taken the connection along."""
    connection = service.connect()
    try:
        connection.request("GET", "/versions", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
