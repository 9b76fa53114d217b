"""The lane in front of Flask and Flask alone, each in a real server: the same answer to every request, to the byte."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from end_to_end.running_service import RunningService, serve
from end_to_end.scraping import named, scrape

from model.tokens import new_token
from service.browsers import OF_EVERY_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model.registry.registry import Registry

MAXIMUM_BODY_BYTES = 40_000
MAXIMUM_PEOPLE = 900
OURS = (
    *("content-type", "x-request-id", "x-model-version", "x-model-digest", "allow", "retry-after", "content-length"),
    *("www-authenticate", "traceparent", *map(str.lower, OF_EVERY_ANSWER)),
)
JSON = "application/json"
COUNTED = (
    "requests_total",
    "predictions_total",
    "prediction_probability_bucket",
    "refused_inputs_total",
    "request_people_bucket",
    "drift_people",
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Request(NamedTuple):
    path: str
    body: bytes | None = None
    method: str = "POST"
    content_type: str | None = JSON
    id: str | None = "mine"
    chunked: bool = False
    more: tuple[tuple[str, str], ...] = ()


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


STEVE = {"weight_kg": 73, "height_cm": 182}
ALICE = {"weight_lb": 128, "height_in": 63}
ONE = [
    STEVE,
    ALICE,
    {"height_cm": 182.5, "weight_kg": 73.25},
    {"weight_kg": 20, "height_cm": 100},
    {"weight_kg": 400, "height_cm": 250},
    {"weight_kg": 182, "height_cm": 73},
    {"weight_kg": 80, "height_cm": 72},
    {"weight_lb": 160, "height_in": 182},
    {"weight_kg": 5, "height_cm": 170},
    {"weight_kg": "73", "height_cm": 182},
    {"weight_kg": True, "height_cm": None},
    {"weight_kg": 73},
    {"weight_kg": 73, "height_in": 70},
    {"weight_kg": 73, "height_cm": 182, "é/~\ud83d\ude00": [1]},
    {},
    [],
    3,
    None,
    "weight_kg",
]
MANY = [
    {"instances": []},
    {"instances": [STEVE]},
    {"instances": [STEVE, ALICE] * 5},
    {"instances": [STEVE] * 500},
    {"instances": [STEVE] * MAXIMUM_PEOPLE},
    {"instances": [STEVE] * (MAXIMUM_PEOPLE + 1)},
    {"instances": [{"weight_kg": 182, "height_cm": 73}] * 150},
    {"instances": [STEVE, 3, {"weight_kg": 73}], "more": 1},
    {"instances": {}},
    {"instances": None},
    {"weight_kg": [], "height_cm": []},
    {"weight_kg": [73, 50, 250], "height_cm": [182, 150, 130]},
    {"weight_kg": [60 + row / 7 for row in range(900)], "height_cm": [150 + row / 11 for row in range(900)]},
    {"weight_kg": [60 + row / 7 for row in range(901)], "height_cm": [150 + row / 11 for row in range(901)]},
    {"weight_lb": [160.5], "height_in": [70]},
    {"weight_kg": [73, 182, 5], "height_cm": [182, 73, 170]},
    {"weight_kg": [73], "height_cm": []},
    {"weight_kg": [73, "x"], "height_cm": [182, None]},
    {"weight_kg": [[73]], "height_cm": [182]},
]
RAW = [
    b"",
    b" ",
    b"{",
    b"nonsense",
    b'{"weight_kg": 73, "height_cm": 182}}',
    b'{"weight_kg": NaN, "height_cm": 182}',
    b'{"weight_kg": 73, "weight_kg": 74, "height_cm": 182}',
    b'{"weight_kg": 7.3e1, "height_cm": 1820E-1}',
    b'{"weight_kg": -0, "height_cm": 182}',
    b'{"weight_kg": 1e999, "height_cm": 182}',
    b'{"weight_kg": ' + b"1" * 5000 + b', "height_cm": 182}',
    b'{"\\u0077eight_kg": 73, "height_cm": 182}',
    b'\n\t {"weight_kg" :73,\r"height_cm": 182 } ',
    b'\xef\xbb\xbf{"weight_kg": 73, "height_cm": 182}',
    '{"weight_kg": 73, "height_cm": 182}'.encode("utf-16"),
    b"\xff\xfe",
    b"[" * 30_000,
    b'{"a":' * 5000,
    b'{"weight_kg": 73, "height_cm": 182, "\\ud800": 1}',
    encoded(STEVE).ljust(MAXIMUM_BODY_BYTES),
    encoded(STEVE).ljust(MAXIMUM_BODY_BYTES + 1),
    encoded(STEVE).ljust(MAXIMUM_BODY_BYTES + 2),
    encoded(STEVE).ljust(60_000),
]
BODIES = [*map(encoded, ONE + MANY), *RAW]
SUFFIXES = ("", "/batch", "/columns")
PATHS = [
    *("/", "/livez", "/readyz", "/versions", "/versions/1", "/versions/nobody", "/aliases", "/log", "/log?after=x"),
    *("/predict", "/predict/", "//predict", "/predict/batch/", "/predict/nothing", "/predict?x=1", "/nothing"),
    *("/versions/1/predict", "/versions/2/predict/batch", "/versions/3/predict", "/versions//predict"),
    *("/versions/champion/predict", "/versions/previous/predict", "/versions/01/predict", "/versions/1/predict/x"),
    *(
        "/versions/a%2fb/predict",
        "/versions/%31/predict",
        "/versions/%C3%A9/predict",
        "/predic%74",
        "/versions/a%0A/predict",
    ),
]
TYPES = [
    None,
    "",
    "text/plain",
    "APPLICATION/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=latin-1",
    " application/json ",
    "application/json, text/plain",
    "application/jsonx",
    "application/vnd.api+json",
]
IDS = [None, "", "a-b_c.1", "x" * 128, "x" * 129, "a b", "<script>", "é"]


def requests() -> Iterator[Request]:
    for suffix, body in itertools.product(SUFFIXES, BODIES):
        yield Request(f"/predict{suffix}", body)
        yield Request(f"/versions/2/predict{suffix}", body)
    # Gunicorn closes on what is left of a refused body, and the answer can be lost with it: none is long here.
    for body in RAW:
        yield Request("/predict", body[: MAXIMUM_BODY_BYTES + 2], chunked=True)
    for path, method in itertools.product(PATHS, ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")):
        yield Request(path, encoded(STEVE) if method in ("POST", "PUT", "PATCH") else None, method)
    for content_type, suffix in itertools.product(TYPES, SUFFIXES):
        yield Request(f"/predict{suffix}", encoded(STEVE), content_type=content_type)
    for given, path in itertools.product(IDS, ("/predict", "/versions/9/predict", "/nothing", "/livez")):
        yield Request(path, encoded(STEVE), id=given)
    for name in ("X-Request-Id", "x-request-id", "X_Request_Id"):
        yield Request("/predict", encoded(STEVE), more=((name, "another"),))
        yield Request("/predict", encoded(STEVE), id=None, more=((name, "another"),))
    for traceparent, body in itertools.product((TRACE, TRACE.upper(), "", "é"), (encoded(STEVE), b"{")):
        yield Request("/predict", body, more=(("traceparent", traceparent),))
    for name in ("traceparent", "Traceparent", "trace_parent"):
        yield Request("/predict", encoded(STEVE), more=(("traceparent", TRACE), (name, TRACE)))
    yield Request("/predict", encoded(STEVE), more=(("Expect", "100-continue"),))
    yield Request("/predict", encoded(STEVE), more=(("Connection", "close"),))
    yield Request("/livez", b"x" * 100_000, "GET")
    yield Request("/predict", None)


def answer(service: RunningService, request: Request) -> tuple[int, dict[str, str], bytes]:
    connection = service.connect()
    try:
        connection.putrequest(request.method, request.path, skip_accept_encoding=True)
        if request.content_type is not None:
            connection.putheader("Content-Type", request.content_type)
        if request.id is not None:
            connection.putheader("X-Request-Id", request.id.encode("latin-1"))
        for header in request.more:
            connection.putheader(*header)
        if request.chunked:
            connection.putheader("Transfer-Encoding", "chunked")
            pieces = [request.body[start : start + 7000] for start in range(0, len(request.body), 7000)]
            connection.endheaders(iter(pieces), encode_chunked=True)
        else:
            if request.body is not None:
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders() if name.lower() in OURS}
        headers["allow"] = ", ".join(sorted(headers.get("allow", "").split(", ")))
        body = response.read()
    finally:
        connection.close()
    generated = headers["x-request-id"]
    if generated not in ("mine", "another", request.id):
        assert len(generated) == 32
        body = body.replace(generated.encode(), b"(generated)")
        headers |= {"x-request-id": "(generated)", "content-length": ""}
    return response.status, headers, body


@pytest.fixture(scope="module")
def lanes(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    limits = {
        "STATURE_MAXIMUM_BODY_BYTES": str(MAXIMUM_BODY_BYTES),
        "STATURE_MAXIMUM_PEOPLE": str(MAXIMUM_PEOPLE),
    }
    logs = tmp_path_factory.mktemp("lanes")
    one_worker = ("--workers", "1")
    with (
        serve(_trained_once, logs / "fast", *one_worker, STATURE_LANE="fast", **limits) as fast,
        serve(_trained_once, logs / "flask", *one_worker, STATURE_LANE="flask", **limits) as flask,
    ):
        yield {"fast": fast, "flask": flask}


def test_both_lanes_give_the_same_answer_to_every_request(
    lanes: dict[str, RunningService], record_property: Callable[[str, object], None]
) -> None:
    assert "Using worker: Worker" in lanes["fast"].log.read_text()
    assert "Using worker: FlaskWorker" in lanes["flask"].log.read_text()
    before = {lane: scrape(service) for lane, service in lanes.items()}
    asked = list(requests())
    assert len(asked) > 500
    record_property("requests, each in both lanes", len(asked))
    statuses = set()
    for request in asked:
        fast, flask = (answer(service, request) for service in lanes.values())
        assert fast == flask, request
        statuses.add(fast[0])
    assert statuses == {200, 400, 404, 405, 413, 415, 422}
    fast_counts, flask_counts = (
        [Counter(named(after, f"stature_{name}")) - Counter(named(before[lane], f"stature_{name}")) for name in COUNTED]
        for lane, after in ((lane, scrape(service)) for lane, service in lanes.items())
    )
    assert fast_counts == flask_counts
    assert fast_counts[0].total() == len(asked) + 1, "the scrape before is counted too"


def test_both_lanes_let_in_the_same_callers(trained: Registry, tmp_path: Path) -> None:
    (caller, caller_line), (reader, reader_line) = (new_token(scope, [scope]) for scope in ("predict", "read"))
    arguments = {"STATURE_TOKENS": f"{caller_line}\n{reader_line}"}
    credentials = [
        (),
        *((("Authorization", value),) for value in (f"Bearer {caller}", f"bearer  {caller}", f"Bearer {reader}", "x")),
        (("Authorization", f"Bearer {caller}x"),),
        (("Authorization", f"Basic {caller}"),),
    ]
    paths = ["/predict", "/predict/batch", "/versions/1/predict", "/versions/9/predict", "/versions", "/livez", "/none"]
    statuses = set()
    with (
        serve(trained.storage.root, tmp_path / "fast", "--workers", "1", STATURE_LANE="fast", **arguments) as fast_lane,
        serve(
            trained.storage.root, tmp_path / "flask", "--workers", "1", STATURE_LANE="flask", **arguments
        ) as flask_alone,
    ):
        for path, more, method in itertools.product(paths, credentials, ("GET", "POST")):
            request = Request(path, encoded(STEVE) if method == "POST" else None, method, more=more)
            fast, flask = (answer(service, request) for service in (fast_lane, flask_alone))
            assert fast == flask, request
            statuses.add(fast[0])
    assert statuses == {200, 401, 403, 404, 405, 422}


def test_a_prediction_of_the_lane_has_the_very_bytes_that_python_writes(
    lanes: dict[str, RunningService], trained: Registry
) -> None:
    version = trained.load(1)
    expected = version.predict(73 / 0.45359237, 182 / 2.54) | version.identity
    for service in lanes.values():
        assert answer(service, Request("/predict", encoded(STEVE)))[2] == encoded(expected)
