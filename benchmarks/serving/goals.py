"""What Stature's serving is to reach, and whether a run reached it. All figures are medians of one and the same run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.serving.results import Results

RATE, P99, ALONE = "requests_per_second", "p99_milliseconds", "alone_milliseconds"


@dataclass(frozen=True)
class Goal:
    text: str
    needed: float
    measured: Callable[[Results], float]
    """NaN where the run did not measure it."""
    at_least: bool = True
    digits: int = 2

    def row(self, results: Results) -> str:
        """A line of the table."""
        value = self.measured(results)
        needed = f"{'at least' if self.at_least else 'at most'} {self.needed:,.{self.digits}f}"
        if math.isnan(value):
            return f"| {self.text} | {needed} | | not measured |"
        reached = value >= self.needed if self.at_least else value <= self.needed
        return f"| {self.text} | {needed} | {value:,.{self.digits}f} | {'reached' if reached else '**not reached**'} |"


def _ratio(quantity: str, other: str, *, name: str = "stature") -> Callable[[Results], float]:
    return lambda results: results.median(name, quantity) / results.median(other, quantity)


def _of(quantity: str) -> Callable[[Results], float]:
    return lambda results: results.median("stature", quantity)


def hello_of(worker_class: str) -> str:
    """The bare hello on the server that Stature runs on, by the class of its workers."""
    for word, hello in (("gthread", "hello-gthread"), ("asgi", "hello-asgi")):
        if word in worker_class:
            return hello
    return "hello-uvicorn-worker"


def goals(hello: str) -> Iterator[Goal]:
    """The goals; `hello` is the bare server that Stature runs on."""
    for needed, other, title in (
        (4, "fastapi", "FastAPI as everyone writes it"),
        (2.7, "fastapi-tuned", "FastAPI, tuned"),
        (11, "mlserver", "MLServer"),
        (25, "bentoml", "BentoML"),
        (25, "litserve", "LitServe"),
        (25, "vetiver", "vetiver"),
        (60, "mlflow", "MLflow"),
    ):
        yield Goal(f"requests a second / {title}", needed, _ratio(RATE, other), digits=1)
    yield Goal(f"requests a second / a bare hello on its own server (`{hello}`)", 0.8, _ratio(RATE, hello))
    yield Goal("requests a second / nginx", 0.25, _ratio(RATE, "nginx"))
    yield Goal("p99 at 16 connections / FastAPI", 0.5, _ratio(P99, "fastapi"), at_least=False)
    yield Goal("p50 with one connection / nginx", 2, _ratio(ALONE, "nginx"), at_least=False)
    yield Goal(
        "two workers on two cores / one on one (with the load on the same cores)",
        1.8,
        lambda results: results.median("stature", f"{RATE}_with_2") / results.median("stature", f"{RATE}_with_1"),
    )
    yield Goal("start to the first right answer / FastAPI", 1, _ratio("start_seconds", "fastapi"), at_least=False)
    yield Goal("memory of two workers together, MiB", 110, _of("memory_mib_with_2"), at_least=False, digits=0)
    yield Goal("p99 beside a caller of batches of 10,000, ms", 5, _of("p99_batches"), at_least=False)
    yield Goal("rows a second in columns of 10,000", 5e6, _of("columns_rows_per_second"), digits=0)
    yield Goal("rows a second in batches of 10,000", 1.2e6, _of("batch_rows_per_second"), digits=0)
