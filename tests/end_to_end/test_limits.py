"""Clients that send too much, too slowly, or too many at once: what they are told, and that others are still served."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import RunningService, serve, wait_for
from end_to_end.scraping import named, scrape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model.registry.registry import Registry

STEVE = b'{"weight_kg": 73, "height_cm": 182}'
HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(STEVE) + STEVE
LARGE = b'{"instances": [%s]}' % b", ".join([STEVE] * 1000)
HALF = HEAD + b"Content-Length: 100000\r\n\r\n" + STEVE
SECONDS = 0.3


@pytest.fixture(scope="module")
def service(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    limits = {
        "STATURE_MAXIMUM_HEAD_BYTES": "4096",
        "STATURE_HEAD_SECONDS": str(SECONDS),
        "STATURE_BODY_SECONDS": str(2 * SECONDS),
        "STATURE_MAXIMUM_REQUESTS": "20",
        "STATURE_MAXIMUM_CONNECTIONS": "40",
        "STATURE_LOG_REQUESTS": "all",
        "STATURE_CORS_ORIGINS": "https://page.example",  # which stands in front of the lane
    }
    log = tmp_path_factory.mktemp("limits") / "log"
    with serve(_trained_once, log, "--workers", "1", **limits) as running:
        yield running
    assert "Traceback" not in running.log.read_text()


@contextlib.contextmanager
def connected(service: RunningService, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent)
        yield connection


def said(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and problem of the answer after which the service closes; (0, {}) where it closes without one."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece
    if not received:
        return 0, {}
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\nconnection: close" in head
    problem = json.loads(body)
    assert f"\r\nx-request-id: {problem['request_id']}".encode() in head
    return int(head.split()[1]), problem


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 4096 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 600_000,
        b"GET /livez HTTP/1.1\r\nHost: here\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"GET /livez?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET /livez?" + b"x" * 500_000,
        b"GET /livez HTTP/1.1\r\nHost: here\r\n" + b"X-Many: y\r\n" * 100_000,
        WHOLE + b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 4096 + b"\r\n\r\n",
    ],
)
def test_a_head_that_is_too_large_is_refused_before_it_is_whole(service: RunningService, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
    # Where the client is still sending, the system may throw away what was said to it last.
    assert b"HTTP/1.1 431 " in received or (len(sent) > 100_000 and not received)


def test_heads_within_the_limits_are_read_however_they_come(service: RunningService) -> None:
    long = b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Long: " + b"x" * 3000 + b"\r\nConnection: close\r\n\r\n"
    with connected(service) as connection:
        for start in range(0, len(long), 100):
            connection.sendall(long[start : start + 100])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    # Too long by its two pieces together, neither being so alone.
    with connected(service, long[:2500]) as connection:
        assert service.request("GET", "/livez")[0] == 200  # the first has been read
        connection.sendall(b"x" * 2000 + long[2500:])
        assert said(connection)[1]["type"] == "/problems/head-too-large"
    # A large body and, in the same piece, the next request: the body's bytes are not the head's.
    large = HEAD + b"Content-Length: 60000\r\n\r\n" + STEVE.ljust(60_000)
    with connected(service, large + long) as connection:
        received = b""
        while piece := connection.recv(65_536):
            received += piece
        assert received.count(b"HTTP/1.1 200 ") == 2


def test_a_head_and_a_body_that_do_not_come_to_their_end_are_told_so(service: RunningService) -> None:
    for sent in (HEAD, b"P", HALF, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", WHOLE[:-1]):
        with connected(service, sent) as connection:
            assert said(connection)[1]["type"] == "/problems/too-slow"


def test_what_is_refused_before_it_is_a_request_is_counted_and_logged(service: RunningService) -> None:
    before = named(scrape(service), "stature_requests_total")
    told = {}
    for sent in (b"no HTTP\r\n\r\n", HEAD, b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: here\r\n\r\n"):
        with connected(service, sent) as connection:
            status, problem = said(connection)
        told[status] = problem["request_id"]
    after = named(scrape(service), "stature_requests_total")
    assert told.keys() == {400, 408, 431}
    for status, request_id in told.items():
        label = ("none", "unknown", str(status))
        assert after[label] - before.get(label, 0) == 1
        assert f'"request_id": "{request_id}", "route": "unknown", "status": {status}' in service.log.read_text()


def test_a_trickle_does_not_move_the_deadline(service: RunningService) -> None:
    for sent, bit in ((HEAD, b"X: y\r\n"), (HALF, b" ")):
        with connected(service, sent) as connection:
            connection.settimeout(SECONDS / 10)
            received, bits = b"", 0
            while not received:
                bits += 1
                assert bits < 100
                with contextlib.suppress(TimeoutError):
                    received = connection.recv(1000)
                if not received:
                    connection.sendall(bit)
            assert received.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed(service: RunningService) -> None:
    with connected(service) as connection:
        assert said(connection) == (0, {})


def test_an_answer_that_is_not_taken_is_not_kept(service: RunningService) -> None:
    """Forty megabytes of answers would have to be kept; the connection is cut instead."""
    people = ", ".join(["73"] * 50_000), ", ".join(["182"] * 50_000)
    body = f'{{"weight_kg": [{people[0]}], "height_cm": [{people[1]}]}}'.encode()
    large = b"POST /predict/columns HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    request = large + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(service) as connection, pytest.raises(ConnectionError):
        connection.sendall(request * 40)


def test_probes_and_predictions_are_answered_beside_a_dozen_slow_bodies(trained: Registry, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(serve(trained.storage.root, tmp_path / "log", "--workers", "1"))
        slow = [
            HALF,
            HALF.replace(b"/predict ", b"/versions "),
            HALF.replace(b"application/json", b"text/plain"),
            HALF.replace(b"/predict ", b"/livez "),
        ]
        for sent in slow * 3:
            stack.enter_context(connected(service, sent))
        for path in ("/livez", "/readyz", "/versions", "/aliases") * 3:
            assert service.request("GET", path)[0] == 200
        assert service.request("POST", "/predict", json.loads(STEVE))[0] == 200


def test_beyond_what_it_can_keep_the_service_refuses_and_says_when_to_ask_again(service: RunningService) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(service, HALF + b" " * 50_000))

        def refused() -> bool:
            connection = service.connect()
            connection.request("POST", "/predict/batch", LARGE, {"Content-Type": "application/json"})
            response = connection.getresponse()
            problem = json.loads(response.read())
            connection.close()
            assert response.status in (200, 503)
            if response.status == 503:
                assert problem["type"] == "/problems/overloaded"
                assert problem["request_id"] == response.headers["X-Request-Id"]
                assert response.headers["Retry-After"] == "1"
            return response.status == 503

        wait_for(refused, seconds=10 * SECONDS)
        assert service.request("GET", "/readyz")[0] == 200
        # What is small waits for nothing, and is not refused.
        assert service.request("POST", "/predict", json.loads(STEVE))[0] == 200
    wait_for(lambda: service.request("POST", "/predict", json.loads(STEVE))[0] == 200)


def test_with_too_many_connections_open_requests_are_refused_and_their_connections_closed(
    service: RunningService,
) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(service)) for _ in range(45)]
        connections[-1].sendall(WHOLE)
        status, problem = said(connections[-1])
        assert (status, problem["type"]) == (503, "/problems/overloaded")
        assert service.request("GET", "/livez")[0] == 200
    wait_for(lambda: service.request("POST", "/predict", json.loads(STEVE))[0] == 200)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
def test_requests_in_flight_are_finished_when_the_service_ends_or_starts_afresh(
    trained_service: RunningService, stop: signal.Signals
) -> None:
    service, before = trained_service, trained_service.workers()
    begun = [service.connect() for _ in range(8)]
    for connection in begun:
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(STEVE)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders(STEVE[:5])
        assert connection.sock.recv(100, socket.MSG_PEEK).startswith(b"HTTP/1.1 100 ")  # a worker has it in hand
    service.process.send_signal(stop)
    if stop == signal.SIGTERM:
        wait_for(lambda: not _accepts(service))
    else:
        wait_for(lambda: any(worker not in before for worker in service.workers()))
    for connection in begun:
        connection.send(STEVE[5:])
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["model_version"] == 1
        connection.close()
    if stop == signal.SIGTERM:
        assert service.process.wait(timeout=30) == 0
    else:
        wait_for(lambda: not set(before) & set(service.workers()))
        assert service.request("POST", "/predict", json.loads(STEVE))[0] == 200
    assert "Traceback" not in service.log.read_text()


@pytest.fixture
def trained_service(_trained_once: Path, tmp_path: Path) -> Iterator[RunningService]:
    with serve(_trained_once, tmp_path / "log", "--workers", "2") as running:
        yield running


def _accepts(service: RunningService) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_single_prediction_beside_large_batches_is_answered(trained_service: RunningService) -> None:
    """Every answer is right while a worker computes large batches; how long it takes, benchmarks/serving measures."""
    people = [json.loads(STEVE)] * 50_000
    stopping = threading.Event()
    statuses: list[int] = []

    def ask_much() -> None:
        while not stopping.is_set():
            statuses.append(trained_service.request("POST", "/predict/batch", {"instances": people})[0])

    asker = threading.Thread(target=ask_much)
    asker.start()
    connection = http.client.HTTPConnection("127.0.0.1", trained_service.port, timeout=30)
    while len(statuses) < 3:
        assert trained_service.request("POST", "/predict", json.loads(STEVE), connection)[0] == 200
    stopping.set()
    asker.join()
    connection.close()
    assert set(statuses) == {200}
