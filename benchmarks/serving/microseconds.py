"""Where the microseconds of a request go: the processor time of the whole, and its parts.

    a request = its server, as a bare hello has it + the application, of which the prediction + what is left

The application is timed in this process, without a server, and sampled: every half millisecond, which of our functions
is at work.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import service
from benchmarks.metrics import microseconds_a_request
from benchmarks.serving.questions import MEASURED, PERSON
from model.registry.registry import Registry
from model.registry.storage import open_storage
from service import prediction
from service.lane import from_environment
from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from benchmarks.serving.results import Results

COMPUTED = "processor_microseconds"
_OURS = Path(service.__file__).parents[1]
_BODY = PERSON.body([MEASURED])
_REPETITIONS, _SECONDS = 5, 0.1
_SAMPLING_SECONDS, _SAMPLE_SECONDS = 1.0, 0.0005
_LEAST_SHARE = 0.03


def microseconds(registry: Path, results: Results, hello: str) -> str:
    """The table for this registry's champion; `hello` is the bare server that Stature runs on."""
    settings = Settings(registry=str(registry))
    opened = Registry(open_storage(settings.registry), settings.model)
    version = opened.load(opened.head().champion or 1)

    def predict() -> None:
        prediction.predict_one(_BODY, version, settings.maximum_people)

    ask = _application(settings)
    predicting, answering = _timed(predict), _timed(ask)
    serving, bare = results.median("stature", COMPUTED), results.median(hello, COMPUTED)
    rows = [
        ("a request at 16 connections, all that the service computes", serving),
        (f"its server, as a bare hello has it (`{hello}`)", bare),
        ("the application, from the server's call to its return", answering),
        ("&emsp;of which the prediction, bytes in, bytes out", predicting),
        ("&emsp;of which counting the request and the person", microseconds_a_request()),
        *((f"&emsp;of which {function}", answering * share) for function, share in _sampled(ask)),
        ("what is left", serving - bare - answering),
    ]
    lines = [f"| {what} | {took:.2f} |" for what, took in rows if not math.isnan(took)]
    return "\n".join(["### Where the microseconds go", "", "| | µs |", "|---|---:|", *lines])


def _application(settings: Settings) -> Callable[[], None]:
    """One POST /predict to what gunicorn is given, without a server."""
    os.environ["STATURE_REGISTRY"] = settings.registry
    application = from_environment()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_BODY)).encode()),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }

    def ask() -> None:
        answer = application.answer_at_once(dict(scope), _BODY)
        if answer is None or answer.status != 200:
            raise RuntimeError(f"answered {answer}")

    return ask


def _timed(action: Callable[[], None]) -> float:
    """Microseconds of processor time, the best of a few repetitions."""
    best = math.inf
    for _ in range(_REPETITIONS):
        count, start = 0, time.thread_time()
        while (elapsed := time.thread_time() - start) < _SECONDS:
            for _ in range(100):
                action()
            count += 100
        best = min(best, elapsed / count)
    return 1e6 * best


def _sampled(action: Callable[[], None]) -> Iterator[tuple[str, float]]:
    """The functions of ours that take the most, with their shares; what they call elsewhere counts as theirs."""
    found: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        while frame and not frame.f_code.co_filename.startswith((f"{_OURS}/model/", f"{_OURS}/service/")):
            frame = frame.f_back
        if frame:
            found[f"`{Path(frame.f_code.co_filename).relative_to(_OURS)}`, `{frame.f_code.co_qualname}`"] += 1
        else:
            found["what others' code does before it calls ours"] += 1

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, _SAMPLE_SECONDS, _SAMPLE_SECONDS)
    end = time.perf_counter() + _SAMPLING_SECONDS
    while time.perf_counter() < end:
        for _ in range(1000):
            action()
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)
    shares = {function: count / found.total() for function, count in found.most_common()}
    yield from ((function, share) for function, share in shares.items() if share >= _LEAST_SHARE)
    yield "all the rest", sum(share for share in shares.values() if share < _LEAST_SHARE)
