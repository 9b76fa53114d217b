"""What browsers are told, by both lanes: the headers of every route and error, and which pages of others may ask."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import STATURE, RunningService, serve

from model.tokens import new_token
from service.browsers import OF_EVERY_ANSWER
from service.openapi.parts import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from pathlib import Path

    from playwright.sync_api import Browser

    from model.registry.registry import Registry

STEVE = b'{"weight_kg": 73, "height_cm": 182}'
BATCH = b'{"instances": [%s]}' % STEVE
COLUMNS = b'{"weight_kg": [73], "height_cm": [182]}'
ADMIN, ADMIN_LINE = new_token("deploy", ["admin"])
CALLER, CALLER_LINE = new_token("page", ["predict"])
NAMED, OTHER = "https://page.example", "https://other.example"
LANES = ("fast", "flask")

ANSWERED = [
    *(("GET", path, b"", 200) for path in ("/", "/docs", "/openapi.json", "/livez", "/readyz", "/versions")),
    *(("GET", path, b"", 200) for path in ("/versions/1", "/versions/1/report", "/versions/champion/report")),
    *(("GET", path, b"", 200) for path in ("/aliases", "/log", "/metrics", "/drift", "/static/page.js")),
    *(("GET", f"/static/{name}", b"", 200) for name in ("page.css", "icon.svg", "docs.css")),
    ("HEAD", "/", b"", 200),
    ("OPTIONS", "/predict", b"", 200),
    ("POST", "/predict", STEVE, 200),
    ("POST", "/predict?explain=true", STEVE, 200),
    ("POST", "/predict/batch", BATCH, 200),
    ("POST", "/predict/columns", COLUMNS, 200),
    ("POST", "/versions/2/predict", STEVE, 200),
    ("POST", "/versions/2/predict/batch", BATCH, 200),
    ("POST", "/versions/2/predict/columns", COLUMNS, 200),
    ("PUT", "/aliases/champion", b'{"version": 1}', 200),
    ("POST", "/predict", b"{", 400),
    ("GET", "/%zz", b"", 404),
    ("GET", "/nothing", b"", 404),
    ("GET", "/static/nothing.js", b"", 404),
    ("GET", "/versions/9/report", b"", 404),
    ("POST", "/versions/9/predict", STEVE, 404),
    ("GET", "/predict", b"", 405),
    ("DELETE", "/versions/1", b"", 405),
    ("POST", "/rollback", b"{}", 409),
    ("POST", "/predict", STEVE.ljust(5000), 413),
    ("POST", "/predict", STEVE, 415),
    ("POST", "/predict", b'{"weight_kg": 182, "height_cm": 73}', 422),
    ("GET", "/versions?limit=x", b"", 422),
]


def ask(service: RunningService, method: str, path: str, body: bytes = b"", **headers: str) -> HTTPResponse:
    """The answer, read to its end, from a connection of its own."""
    connection = service.connect()
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"} if body or method == "PUT" else {}
    try:
        connection.request(
            method, path, body or None, given | {name.replace("_", "-"): headers[name] for name in headers}
        )
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    return response


@pytest.fixture(scope="module", params=LANES)
def service(
    request: pytest.FixtureRequest, _trained_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    settings = {
        "STATURE_LANE": request.param,
        "STATURE_TOKENS": f"{ADMIN_LINE}\n{CALLER_LINE}",
        "STATURE_OPEN_SCOPES": "predict,read",
        "STATURE_MAXIMUM_BODY_BYTES": "4096",
        "STATURE_HEAD_SECONDS": "1",
    }
    log = tmp_path_factory.mktemp(request.param) / "log"
    with serve(_trained_once, log, "--workers", "1", **settings) as running:
        yield running


@pytest.mark.parametrize(("method", "path", "body", "status"), ANSWERED)
def test_every_answer_says_what_a_browser_may_do_with_it(
    service: RunningService, method: str, path: str, body: bytes, status: int
) -> None:
    response = ask(service, method, path, body, **({"Content_Type": "text/plain"} if status == 415 else {}))
    assert response.status == status
    names = [name.lower() for name, _ in response.getheaders()]
    assert [names.count(name.lower()) for name in OF_EVERY_ANSWER] == [1] * len(OF_EVERY_ANSWER)
    page = path.endswith(("/", "/docs", "/report")) or path.startswith("/static/")
    kept = page and method != "OPTIONS" and status == 200
    assert_guarded({name.lower(): value for name, value in response.getheaders()}, kept=kept)
    assert not kept or response.headers["Cache-Control"].startswith("private, ")


def assert_guarded(headers: dict[str, str], *, kept: bool = False) -> None:
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store" or kept
    assert not any(name.startswith("access-control-") for name in headers)


def test_every_route_of_the_description_is_among_them(service: RunningService) -> None:
    paths = json.loads(raw(service, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[1])["paths"]
    for path, methods in paths.items():
        described = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
        for method in methods:
            assert any(
                method.upper() == asked and described.fullmatch(at.partition("?")[0]) for asked, at, *_ in ANSWERED
            )


def test_an_answer_without_a_token_says_it_too(service: RunningService) -> None:
    for token, status in (("", 401), (f"Bearer {CALLER}", 403)):
        response = ask(service, "POST", "/rollback", b"{}", Authorization=token)
        assert response.status == status
        assert_guarded({name.lower(): value for name, value in response.getheaders()})


def raw(service: RunningService, sent: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of what is answered to these bytes until the connection is closed."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                received += part
    head, _, body = received.partition(b"\r\n\r\n")
    pairs = (line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}, body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /livez HTTP/9.9\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: a\r\n", 408),
        (b"GET /livez HTTP/1.1\r\nX-A: %s\r\n\r\n" % (b"a" * 20_000), 431),
    ],
)
def test_what_the_server_refuses_itself_says_it_too(
    trained: Registry, tmp_path: Path, sent: bytes, status: int
) -> None:
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1", STATURE_HEAD_SECONDS="1") as service:
        headers, body = raw(service, sent)
    assert json.loads(body)["status"] == status
    assert_guarded(headers)


@pytest.fixture(scope="module")
def both(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningService]]:
    """Each lane, where one origin is named, predictions need a token, and large bodies are refused."""
    settings = {
        "STATURE_CORS_ORIGINS": f"http://localhost:3000, {NAMED}",
        "STATURE_TOKENS": f"{ADMIN_LINE}\n{CALLER_LINE}",
        "STATURE_MAXIMUM_BODY_BYTES": "4096",
    }
    logs = tmp_path_factory.mktemp("origins")
    with contextlib.ExitStack() as running:
        yield [
            running.enter_context(serve(_trained_once, logs / lane, "--workers", "1", STATURE_LANE=lane, **settings))
            for lane in LANES
        ]


def told(response: HTTPResponse) -> dict[str, str]:
    """What an answer says to browsers. No header of these is there twice."""
    found = [(name.lower(), value) for name, value in response.getheaders()]
    found = [(name, value) for name, value in found if name == "vary" or name.startswith("access-control-")]
    assert len(dict(found)) == len(found), found
    return dict(found)


ASKED = [
    ("GET", "/livez", b"", CALLER),
    ("GET", "/openapi.json", b"", CALLER),
    ("GET", "/nothing", b"", CALLER),
    ("GET", "/versions", b"", CALLER),  # 403
    ("GET", "/predict", b"", CALLER),  # 405
    ("POST", "/predict", STEVE, CALLER),
    ("POST", "/predict", STEVE, "nobody"),  # 401
    ("POST", "/predict", b"{", CALLER),  # 400
    ("POST", "/predict", STEVE.ljust(5000), CALLER),  # 413
    ("POST", "/predict?explain=true", STEVE, CALLER),
    ("POST", "/predict/batch", BATCH, CALLER),
    ("POST", "/versions/9/predict", STEVE, CALLER),  # 404
    ("OPTIONS", "/predict", b"", CALLER),
]


@pytest.mark.parametrize(("method", "path", "body", "token"), ASKED)
def test_a_page_of_an_origin_that_is_named_may_read_every_answer_and_no_other_may(
    both: list[RunningService], method: str, path: str, body: bytes, token: str
) -> None:
    for given in (
        NAMED,
        None,
        OTHER,
        "null",
        "*",
        NAMED.upper(),
        NAMED + ":443",
        NAMED + ".evil.example",
        "http" + NAMED[5:],
    ):
        origin = {} if given is None else {"Origin": given}
        fast, flask = (ask(one, method, path, body, Authorization=f"Bearer {token}", **origin) for one in both)
        assert (fast.status, told(fast)) == (flask.status, told(flask))
        expected = {"vary": "Origin"}
        if given == NAMED:
            exposed = told(fast)["access-control-expose-headers"]
            assert {"X-Request-Id", "traceparent", *HEADERS} == set(exposed.split(", "))
            expected |= {"access-control-allow-origin": NAMED, "access-control-expose-headers": exposed}
        assert told(fast) == expected


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/predict", {"POST", "OPTIONS"}),
        ("/versions/1/predict/batch", {"POST", "OPTIONS"}),
        ("/versions", {"GET", "HEAD", "OPTIONS"}),
        ("/aliases/champion", {"PUT", "OPTIONS"}),
        ("/rollback", {"POST", "OPTIONS"}),
    ],
)
def test_a_browser_that_asks_in_advance_needs_no_token_and_is_told_what_it_may_send(
    both: list[RunningService], path: str, methods: set[str]
) -> None:
    asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,content-type"}
    fast, flask = (ask(one, "OPTIONS", path, Origin=NAMED, **asks) for one in both)
    assert (fast.status, told(fast)) == (flask.status, told(flask))
    assert fast.status == 204
    headers = told(fast)
    assert headers["access-control-allow-origin"] == NAMED
    assert set(headers["access-control-allow-methods"].split(", ")) == methods
    assert headers["access-control-allow-headers"] == "Content-Type, Authorization, X-Request-Id, traceparent"
    assert headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in headers
    # Of another origin, it is told nothing, and that a token is needed.
    for one in both:
        refused = ask(one, "OPTIONS", path, Origin=OTHER, **asks)
        assert (refused.status, told(refused)) == (401, {"vary": "Origin"})


class _Page(http.server.BaseHTTPRequestHandler):
    """An empty page of an origin of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("lane", LANES)
def test_a_real_browser_lets_the_page_of_a_named_origin_predict_and_no_other(
    browser: Browser, trained: Registry, tmp_path: Path, lane: str
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Page)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        named, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        settings = {"STATURE_CORS_ORIGINS": named, "STATURE_TOKENS": CALLER_LINE, "STATURE_LANE": lane}
        with serve(trained.storage.root, tmp_path / "log", "--workers", "1", **settings) as service:
            script = """async ([port, token]) => {
                const headers = {"Content-Type": "application/json", "Authorization": `Bearer ${token}`,
                                 "X-Request-Id": "mine"};
                const body = JSON.stringify({weight_kg: 73, height_cm: 182});
                const ask = path => fetch(`http://127.0.0.1:${port}${path}`, {method: "POST", headers, body});
                try {
                    const answer = await ask("/predict"), missing = await ask("/versions/9/predict");
                    return [(await answer.json()).likelier, answer.headers.get("X-Request-Id"),
                            answer.headers.get("X-Model-Version"), missing.status];
                } catch (error) { return error.name }
            }"""
            found = {}
            for origin in (named, other):
                page = browser.new_page()
                page.goto(origin)
                found[origin] = page.evaluate(script, [service.port, CALLER])
                page.close()
        server.shutdown()
    assert found == {named: ["male", "mine", "1", 404], other: "TypeError"}


@pytest.mark.parametrize("lane", LANES)
def test_a_service_is_not_started_with_an_origin_that_is_none(trained: Registry, lane: str) -> None:
    ended = subprocess.run(
        [str(STATURE), "serve", "--registry", str(trained.storage.root), "--port", "0"],
        env=os.environ | {"STATURE_CORS_ORIGINS": f"{NAMED},*", "STATURE_LANE": lane},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"STATURE_CORS_ORIGINS is '{NAMED},*': '*' is no origin as a browser says it: ")
    assert "Traceback" not in ended.stderr


def test_where_no_origin_is_named_a_page_of_another_is_told_nothing(service: RunningService) -> None:
    for method, path, body, _ in ASKED:
        assert told(ask(service, method, path, body, Origin=NAMED)) == {}
