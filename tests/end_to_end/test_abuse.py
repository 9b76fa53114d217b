"""What is sent to break a service or to fill it: it says no at once, keeps nothing, and goes on answering others."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import RunningService, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.registry.registry import Registry

STEVE = {"weight_kg": 73, "height_cm": 182}
MEBIBYTE = 1 << 20
HEAD_SECONDS = 3
CONNECTIONS = 3000


@pytest.fixture(scope="module", params=["fast", pytest.param("flask", marks=pytest.mark.slow)])
def service(
    request: pytest.FixtureRequest, _trained_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    log = tmp_path_factory.mktemp(request.param) / "log"
    with serve(_trained_once, log, "--workers", "1", STATURE_LANE=request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def _answers_as_ever(service: RunningService) -> Iterator[None]:
    expected = service.request("POST", "/predict", STEVE)
    yield
    assert service.request("POST", "/predict", STEVE) == expected


def resident_bytes(service: RunningService) -> int:
    (worker,) = service.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def answered(service: RunningService, head: bytes, body: bytes = b"", most: int = 0) -> tuple[int, int]:
    """The status of the answer, and how much of `most` bytes after the body was taken before it came."""
    sent = 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + b"\r\n\r\n" + body)
            connection.setblocking(False)  # noqa: FBT003 - the socket's own signature
            while sent < most:
                with contextlib.suppress(BlockingIOError):
                    sent += connection.send(bytes(MEBIBYTE))
                with contextlib.suppress(BlockingIOError):
                    if connection.recv(1, socket.MSG_PEEK):
                        break
        connection.settimeout(30)
        return int(connection.recv(1 << 16).split()[1]), sent


POST = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("head", "begun"),
    [
        (POST + b"Content-Length: 1073741824", b""),
        (POST + b"Transfer-Encoding: chunked", b"40000000\r\n"),
        (POST.replace(b"/predict", b"/nothing") + b"Content-Length: 1073741824", b""),
        (POST.replace(b"application/json", b"text/plain") + b"Content-Length: 1073741824", b""),
    ],
    ids=["a length", "a chunk", "to nowhere", "of another type"],
)
def test_a_body_of_a_gibibyte_is_refused_before_it_has_come_and_is_not_kept(
    service: RunningService, head: bytes, begun: bytes, record_property: Callable[[str, object], None]
) -> None:
    before = resident_bytes(service)
    status, sent = answered(service, head, begun, most=1 << 30)
    record_property(f"answered with {status}", 1)
    assert status in (404, 413, 415)
    assert sent < 64 * MEBIBYTE
    assert resident_bytes(service) - before < 32 * MEBIBYTE


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/columns", "/versions/1/predict"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"weight_kg":' * 300_000,
        b'{"weight_kg": ' + b"7" * 1_000_000 + b', "height_cm": 182}',
        b'{"weight_kg": 7.' + b"0" * 1_000_000 + b'e1, "height_cm": 1e-' + b"9" * 1_000_000 + b"}",
        b"{" + b'"weight_kg": 73, ' * 200_000 + b'"height_cm": 182}',
        b"{" + b", ".join(b'"%d": 1' % number for number in range(300_000)) + b"}",
        b'{"weight_kg": "' + b"\\ud83d\\ude00" * 250_000 + b'", "height_cm": 182}',
        b'{"weight_kg": [' + b"73," * 1_000_000 + b'73], "height_cm": [182]}',
        b'{"instances": [' + b"{}," * 1_000_000 + b"{}]}",
        b'"' + b"\x00" * 1_000_000 + b'"',
    ],
    ids=["brackets", "objects", "digits", "zeros", "names twice", "names", "emoji", "column", "batch", "nulls"],
)
def test_a_body_of_a_million_of_anything_is_refused_in_words(
    service: RunningService, path: str, body: bytes, record_property: Callable[[str, object], None]
) -> None:
    connection = service.connect()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    record_property(f"answered with {response.status}", 1)
    assert response.status in (400, 422), problem
    assert problem["detail"]
    assert len(json.dumps(problem)) < 100_000


@pytest.mark.parametrize(
    "path",
    [
        b"/predict%00",
        b"/predict\xe2\x80\x8b",
        b"/%EF%BD%90redict",  # a wide p
        b"/versions/%EF%BC%91/predict",  # a wide 1
        b"/versions/%D9%A1/predict",  # an Arabic 1
        b"/versions/%C2%B9/predict",  # a raised 1
        b"/versions/1%E2%80%AE/predict",  # to be written from right to left
        b"/versions/1%00/predict",
        b"/versions/+1/predict",
        b"/versions/1e0/predict",
        b"/versions/0x1/predict",
        b"/versions/%c0%af/predict",
        b"/versions/%ff%fe/predict",
        b"/versions/%ED%A0%80/predict",
        b"/versions/CHAMPION/predict",
        b"/versions/c%CC%A7hampion/predict",
        b"/versions/..%2f..%2f1/predict",
        b"/versions/%2e%2e/predict",
        b"/versions/../../etc/passwd",
        b"/versions/1/../1/predict",
        b"/..%c0%af..%c0%afetc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/static/..%2fpage.py",
        b"/static/%2e%2e%2f%2e%2e%2fpyproject.toml",
        b"/static/..\\page.py",
        b"/%",
        b"/%zz",
        b"/" + b"a" * 8000,
        b"/" + b"%E2%98%83" * 800,
        b"/;/predict",
        b"/predict;x=1",
        b"/.git/config",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_no_trick_in_a_path_leads_anywhere(
    service: RunningService, method: bytes, path: bytes, record_property: Callable[[str, object], None]
) -> None:
    body = json.dumps(STEVE).encode()
    head = (
        method + b" " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d" % len(body)
    )
    status, _ = answered(service, head, body)
    record_property(f"answered with {status}", 1)
    assert status in (400, 404, 405, 414, 431)


def test_thousands_of_slow_connections_keep_nobody_from_being_answered(
    trained: Registry, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * CONNECTIONS)), hard))
    with contextlib.ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        limits = {"STATURE_HEAD_SECONDS": str(HEAD_SECONDS), "STATURE_MAXIMUM_CONNECTIONS": str(2 * CONNECTIONS)}
        service = opened.enter_context(serve(trained.storage.root, tmp_path / "log", "--workers", "2", **limits))
        slow = [
            opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            for _ in range(CONNECTIONS)
        ]
        for number, connection in enumerate(slow):
            connection.sendall((b"", POST[: 10 + number % 40], POST + b"Content-Length: 35\r\n\r\n{")[number % 3])
        for _ in range(50):
            assert service.request("GET", "/livez")[0] == 200
            assert service.request("POST", "/predict", STEVE)[0] == 200
        # Those that have not sent a whole head are told so, or closed, when their time is over.
        for number, connection in enumerate(slow):
            if number % 3 != 2:
                said = connection.recv(1 << 12)
                assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
        assert service.request("POST", "/predict", STEVE)[0] == 200
    record_property("slow connections", CONNECTIONS)
    record_property("answers beside them", 100)
