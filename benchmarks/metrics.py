"""What a request costs more for being counted, in slots shared by the workers, and what a scrape costs.

    python benchmarks/metrics.py

The benchmark of serving calls `microseconds_a_request` too.
"""

from __future__ import annotations

import os
import tempfile
import time
import timeit
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from service.metrics import Metrics
from service.observation import Observer
from service.prediction import Prediction
from service.settings import Settings
from service.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUESTS, _REPETITIONS = 20_000, 5


def microseconds_a_request(directory: Path | None = None) -> float:
    """Of the two calls that every answered prediction makes; the best of some repetitions, as `timeit` advises."""
    live_models: Any = SimpleNamespace(metrics=Metrics(Slots(directory)))
    version: Any = SimpleNamespace(manifest=SimpleNamespace(number=1))
    observer = Observer(Settings(), live_models)
    prediction = Prediction(b"{}", 160.0, 71.5, 0.0417, inside=True)

    def predict(*_: object) -> Prediction:
        return prediction

    def request() -> None:
        observer.predict(predict, b"{}", version, 1)
        observer.finished("/predict", 200, 0.00021, 1, "a-name", None)

    return _microseconds(request)


def microseconds_a_request_with_the_library(directory: Path) -> float:
    """The same two counters and two histograms with the library's own files, of its own accord named by process."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    from prometheus_client import CollectorRegistry, Counter, Histogram, values

    values.ValueClass = values.MultiProcessValue()
    registry = CollectorRegistry()
    requests = Counter("requests_total", "…", ["route"], registry=registry).labels("/predict")
    seconds = Histogram("seconds", "…", ["route"], registry=registry).labels("/predict")
    predictions = Counter("predictions_total", "…", ["gender"], registry=registry).labels("male")
    probabilities = Histogram("probability", "…", ["version"], registry=registry).labels("1")

    def request() -> None:
        predictions.inc()
        probabilities.observe(0.0417)
        requests.inc()
        seconds.observe(0.00021)

    return _microseconds(request)


def _microseconds(request: Callable[[], None]) -> float:
    return min(timeit.repeat(request, timer=time.process_time, number=_REQUESTS, repeat=_REPETITIONS)) / _REQUESTS * 1e6


def main() -> None:
    """A table of both."""
    memory = Path("/dev/shm")  # noqa: S108 - where the service has it too
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (ours := Path(folder) / "slots").mkdir()
        (theirs := Path(folder) / "library").mkdir()
        print("| counted in | µs a request |")
        print("|---|---|")
        print(f"| slots, with the drift window | {microseconds_a_request(ours):.2f} |")
        print(f"| the library's files, without it | {microseconds_a_request_with_the_library(theirs):.2f} |")


if __name__ == "__main__":
    main()
