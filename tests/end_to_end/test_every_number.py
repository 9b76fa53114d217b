"""Four workers through kills, a reload of the server, promotions and drift: every number that a scrape tells is held
against the count of those who asked.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from end_to_end.running_service import RunningService, serve, wait_for
from end_to_end.scraping import Samples, Watching, kill_a_worker, named, scrape, wait_until_ready

from model import units
from model.errors import MeasurementsError
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from service.drift import compare
from service.metrics import PEOPLE, PROBABILITIES
from service.slots import Slots
from service.window import REASONS, Window

if TYPE_CHECKING:
    from pathlib import Path

WORKERS, ASKERS, REQUESTS = 4, 4, 60
NOBODY = "/nowhere"


class Count:
    """What was asked and answered, counted by who asked."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.predictions: Counter[tuple[str, str]] = Counter()
        self.probabilities: dict[str, list[float]] = {}
        self.people: list[int] = []
        self.reasons: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.window = Window(Slots(), 3600.0, clock=lambda: 0.0)

    def ask(self, service: RunningService, seed: int, weight_factor: float) -> None:
        """Ask all kinds of things, most of which can be answered."""
        generator = np.random.default_rng(seed)
        champion = self._registry.head().champion
        connection = service.connect()
        for _ in range(REQUESTS):
            count = int(generator.choice([1, 1, 1, 2, 30]))
            weights = np.round(generator.normal(80, 16, count) * weight_factor, 1).tolist()
            heights = np.round(generator.normal(168, 9, count), 1).tolist()
            if generator.random() < 0.1:
                weights, heights = heights, weights
            kind = generator.choice(["one", "batch", "columns", "pinned", "nowhere", "not JSON"])
            people = [{"weight_kg": w, "height_cm": h} for w, h in zip(weights, heights, strict=True)]
            match kind:
                case "one" | "pinned":
                    asked, route, path = people[0], "/predict", "/predict"
                    people, weights, heights = people[:1], weights[:1], heights[:1]
                    if kind == "pinned":
                        route, path = "/versions/{name}/predict", "/versions/1/predict"
                case "batch":
                    asked, route, path = {"instances": people}, "/predict/batch", "/predict/batch"
                case "columns":
                    columns = {"weight_kg": weights, "height_cm": heights}
                    asked, route, path = columns, "/predict/columns", "/predict/columns"
                case "nowhere":
                    asked, route, path = people[0], "unknown", NOBODY
                case _:
                    asked, route, path = None, "/predict", "/predict"
            body = "{" if asked is None else json.dumps(asked)
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.load(response)
            version = "none" if route == "unknown" else "1" if kind == "pinned" else str(champion)
            with self._lock:
                self._count(route, response.status, version, weights, heights, answer)
        connection.close()

    def _count(  # noqa: PLR0917 - what was asked, and what came of it
        self, route: str, status: int, version: str, weights: list[float], heights: list[float], answer: dict
    ) -> None:
        self.requests[version, route, str(status)] += 1
        if status == 200:
            probabilities = self._probabilities(answer)
            assert answer["model_version"] == int(version)
            assert len(probabilities) == len(weights)
            self.people.append(len(weights))
            self.probabilities.setdefault(version, []).extend(probabilities)
            for weight, height, probability in zip(weights, heights, probabilities, strict=True):
                self.predictions["female" if probability >= 0.5 else "male", version] += 1
                canonical = units.to_canonical(weight, units.WEIGHT_KG, height, units.HEIGHT_CM)
                inside = self._registry.load(int(version)).training_range.contains_one(*canonical)
                self.window.add_one(*canonical, inside=inside)
        elif status == 422:
            refused = 0
            for weight, height in zip(weights, heights, strict=True):
                try:
                    units.to_canonical(weight, units.WEIGHT_KG, height, units.HEIGHT_CM)
                except MeasurementsError as error:
                    refused += 1
                    codes = [code for _, code, _ in error.problems]
                    self.reasons.update(codes)
                    self.window.add_refused(1, codes)
            assert refused

    @staticmethod
    def _probabilities(answer: dict) -> list[float]:
        if "predictions" in answer:
            return [one["probability_female"] for one in answer["predictions"]]
        given = answer["probability_female"]
        return given if isinstance(given, list) else [given]


def hold_against(count: Count, seen: Samples, window: Slots, registry: Registry) -> None:
    """Every number of a scrape against the count."""
    asked = {key: value for key, value in named(seen, "stature_requests_total").items() if key[1] in ROUTES}
    assert asked == dict(count.requests)
    timed = {key: value for key, value in named(seen, "stature_request_duration_seconds_count").items() if key in asked}
    assert timed == asked
    predictions = {key: value for key, value in named(seen, "stature_predictions_total").items() if value}
    assert predictions == dict(count.predictions)
    for version, probabilities in count.probabilities.items():
        for bound in PROBABILITIES:
            at_most = sum(probability <= bound for probability in probabilities)
            assert seen["stature_prediction_probability_bucket", str(bound), version] == at_most
        assert seen["stature_prediction_probability_count", version] == len(probabilities)
        assert seen["stature_prediction_probability_sum", version] == pytest.approx(sum(probabilities))
    for bound in PEOPLE:
        assert seen["stature_request_people_bucket", str(bound)] == sum(people <= bound for people in count.people)
    assert seen["stature_request_people_sum",] == sum(count.people)
    assert {key[0]: value for key, value in named(seen, "stature_refused_inputs_total").items()} == dict(count.reasons)
    champion = registry.head().champion
    assert champion is not None
    manifest = registry.manifest(champion)
    assert named(seen, "stature_champion_info") == {(manifest.digest, "gender", str(champion)): 1}
    drift = compare(count.window.observed(window.read()), manifest.inputs, 3600.0)
    assert seen["stature_drift_people",] == drift.people
    assert seen["stature_drift_detected",] == drift.detected
    indices = named(seen, "stature_drift_population_stability_index")
    assert indices == {(name,): one.population_stability_index for name, one in drift.inputs.items()}
    assert seen["stature_drift_outside_training_range_ratio",] == drift.outside
    assert seen["stature_drift_refused_ratio",] == drift.refused
    by_reason = named(seen, "stature_drift_refused_by_reason_ratio")
    assert by_reason == {(reason,): share for reason, share in drift.refused_by_reason.items()}


ROUTES = {"/predict", "/versions/{name}/predict", "/predict/batch", "/predict/columns", "unknown"}


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["fast", "flask"])
def test_every_number_is_that_of_who_asked(trained: Registry, tmp_path: Path, lane: str) -> None:
    window = Slots()
    count = Count(Registry(LocalStorage(trained.storage.root), "gender"))
    count.window = Window(window, 3600.0, clock=lambda: 0.0)
    starts, moves = WORKERS, 0
    with serve(trained.storage.root, tmp_path / "log", "--workers", str(WORKERS), STATURE_LANE=lane) as service:
        wait_until_ready(service, WORKERS)
        with Watching(service) as watching:
            for round_ in range(6):
                factor = 1.0 if round_ < 4 else 1.0 / units.KILOGRAMS_PER_POUND
                askers = [
                    threading.Thread(target=count.ask, args=(service, ASKERS * round_ + asker, factor))
                    for asker in range(ASKERS)
                ]
                for asker in askers:
                    asker.start()
                for asker in askers:
                    asker.join()
                for _ in range(2 * WORKERS):  # whichever worker is asked
                    hold_against(count, scrape(service), window, trained)
                for _ in range(3):
                    kill_a_worker(service)
                    starts += 1
                if round_ == 2:
                    before = set(service.workers())
                    os.kill(service.process.pid, signal.SIGHUP)
                    wait_for(lambda before=before: not before & set(service.workers()), service.log.read_text)
                    wait_until_ready(service, WORKERS)
                    starts += WORKERS
                moves += 1
                trained.promote(1 + moves % 2, by="a test")
                expected = {(str(slot),): 1.0 + moves for slot in named_workers(scrape(service))}
                wait_for(
                    lambda expected=expected: named(scrape(service), "stature_worker_log_number") == expected,
                    service.log.read_text,
                )
                hold_against(count, scrape(service), window, trained)
        seen = scrape(service)
        assert watching.gone_back == []
        assert watching.scrapes > 50
        assert seen["stature_worker_starts_total",] == starts
        # Each worker loads once when it starts, and those that are there once for each promotion.
        assert seen["stature_reload_attempts_total",] == starts + WORKERS * moves
        assert seen["stature_reload_failures_total",] == 0
        assert seen["stature_registry_staleness_seconds",] < 30.0
        assert seen["stature_drift_detected",] == 1
        status, drift = service.request("GET", "/drift")
        assert (status, drift["verdict"]) == (200, "drifted")
        assert "heavier" in {finding["code"] for finding in drift["findings"]}


def named_workers(seen: Samples) -> list[str]:
    return [worker for (worker,) in named(seen, "stature_worker_log_number")]
