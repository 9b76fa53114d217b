"""What all workers counted, as Prometheus reads it: families of samples, summed over the slots at every scrape."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder

from service import metrics
from service.metrics import SEPARATOR
from service.slots import totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from model.network.network import Array
    from service.drift import Drift
    from service.live_models import LiveModels
    from service.slots import Slot


def exposition(live_models: LiveModels, drift: Drift, slots: list[Slot], accept: str) -> tuple[bytes, str]:
    """The answer to a scrape that accepts these media types, and its own."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Families([*_counted(totals(slots)), *_workers(live_models, slots), *_drift(drift)]))
    return encode(registry), content_type


class _Families:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _counted(blocks: Mapping[str, Array]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "stature_requests_total", "Requests that were answered.", labels=["route", "status", "model_version"]
    )
    durations = HistogramMetricFamily(
        "stature_request_duration_seconds",
        "From the request's head to its answer, in the application.",
        labels=["route", "status", "model_version"],
    )
    for labels, numbers in _of(metrics.REQUESTS, blocks):
        requests.add_metric(labels, float(numbers[:-1].sum()))
        durations.add_metric(labels, *_buckets(metrics.SECONDS, numbers))
    yield requests
    yield durations
    predictions = CounterMetricFamily(
        "stature_predictions_total",
        "People who were answered, by the likelier recorded gender.",
        labels=["model_version", "gender"],
    )
    probabilities = HistogramMetricFamily(
        "stature_prediction_probability", "The probabilities of female that were answered.", labels=["model_version"]
    )
    for labels, numbers in _of(metrics.PREDICTIONS, blocks):
        predictions.add_metric([*labels, "male"], float(numbers[-3]))
        predictions.add_metric([*labels, "female"], float(numbers[-2]))
        probabilities.add_metric(labels, *_buckets(metrics.PROBABILITIES, np.delete(numbers, (-3, -2))))
    yield predictions
    yield probabilities
    batches = HistogramMetricFamily("stature_request_people", "People in a request that was predicted for.", labels=[])
    for labels, numbers in _of(metrics.BATCHES, blocks):
        batches.add_metric(labels, *_buckets(metrics.PEOPLE, numbers))
    yield batches
    refused = CounterMetricFamily(
        "stature_refused_inputs_total", "What was wrong with measurements that were refused.", labels=["reason"]
    )
    for labels, numbers in _of(metrics.REFUSED, blocks):
        refused.add_metric(labels, float(numbers[0]))
    yield refused
    ((_, worker),) = _of(metrics.WORKER, blocks)
    for name, what, at in (
        ("stature_worker_starts_total", "Workers that were started.", metrics.STARTS),
        ("stature_reload_attempts_total", "Times that a worker set out to load what the log names.", metrics.ATTEMPTS),
        ("stature_reload_failures_total", "Those that did not load all of it.", metrics.FAILURES),
    ):
        yield CounterMetricFamily(name, what, float(worker[at]))


def _workers(live_models: LiveModels, slots: Sequence[Slot]) -> Iterator[Metric]:
    """What each worker that is alive has read and serves; and the champion, as the worker knows it that is asked."""
    build = InfoMetricFamily("stature_build", "What is running.")
    build.add_metric(
        [], {"version": installed_version("stature"), "python": platform.python_version(), "numpy": np.__version__}
    )
    yield build
    champion = InfoMetricFamily("stature_champion", "The version that answers.", labels=["model"])
    if (served := live_models.live.champion) is not None:
        manifest = served.manifest
        champion.add_metric([manifest.model], {"version": str(manifest.number), "digest": manifest.digest})
    yield champion
    alive = [(str(slot.number), slot.blocks[metrics.WORKER]) for slot in slots if _works(slot)]
    log_numbers = GaugeMetricFamily(
        "stature_worker_log_number", "The record of the registry's log that a worker follows.", labels=["worker"]
    )
    versions = GaugeMetricFamily(
        "stature_worker_champion_version", "The version that a worker answers with; 0 for none.", labels=["worker"]
    )
    for worker, numbers in alive:
        log_numbers.add_metric([worker], float(numbers[metrics.LOG_NUMBER]))
        versions.add_metric([worker], float(numbers[metrics.CHAMPION]))
    yield log_numbers
    yield versions
    looked_at = min(numbers[metrics.LOOKED_AT] for _, numbers in alive)
    yield GaugeMetricFamily(
        "stature_registry_staleness_seconds",
        "Since the registry was last read, by the worker for which that is longest.",
        max(0.0, live_models.metrics.clock() - float(looked_at)),
    )


def _drift(drift: Drift) -> Iterator[Metric]:
    yield GaugeMetricFamily("stature_drift_people", "People in the window, answered and refused.", drift.people)
    yield GaugeMetricFamily("stature_drift_detected", "1 where the inputs are not as in training.", drift.detected)
    indices = GaugeMetricFamily(
        "stature_drift_population_stability_index",
        "How far the inputs of the window are from those trained on; absent while they are too few.",
        labels=["input"],
    )
    for name, given in drift.inputs.items():
        indices.add_metric([name], given.population_stability_index)
    yield indices
    shares = (
        ("outside_training_range", "Of the answered people of the window, outside the range.", drift.outside),
        ("refused", "Of all people of the window, refused.", drift.refused),
    )
    for name, what, share in shares:
        family = GaugeMetricFamily(f"stature_drift_{name}_ratio", what, labels=[])
        if share is not None:
            family.add_metric([], share)
        yield family
    reasons = GaugeMetricFamily(
        "stature_drift_refused_by_reason_ratio", "Problems told, by person of the window.", labels=["reason"]
    )
    for reason, share in drift.refused_by_reason.items():
        reasons.add_metric([reason], share)
    yield reasons


def _works(slot: Slot) -> bool:
    return slot.alive and metrics.WORKER in slot.blocks


def _of(kind: str, blocks: Mapping[str, Array]) -> Iterator[tuple[list[str], Array]]:
    """The blocks of this kind, by the values of their labels."""
    for key in sorted(blocks):
        name, *labels = key.split(SEPARATOR)
        if name == kind:
            yield labels, blocks[key]


def _buckets(bounds: Sequence[float], numbers: Array) -> tuple[list[tuple[str, float]], float]:
    """A histogram as the library takes it: the buckets, each with all below it, and the sum of what was observed."""
    names = [*map(str, bounds), "+Inf"]
    return list(zip(names, np.cumsum(numbers[:-1]).tolist(), strict=True)), float(numbers[-1])
