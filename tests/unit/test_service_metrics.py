"""What the service counts: every request once, under few labels, and as Prometheus' own tools want it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from end_to_end import scraping
from end_to_end.scraping import named
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_server import promtool

from service.app import create_app
from service.lane import CROWDED, Lane
from service.live_models import LiveModels
from service.metrics import Metrics
from service.settings import Settings
from service.slots import Slots

if TYPE_CHECKING:
    from pathlib import Path

    from end_to_end.scraping import Samples
    from flask.testing import FlaskClient

    from model.registry.registry import Registry

STEVE = {"weight_kg": 73, "height_cm": 182}


@pytest.fixture
def client(live_models: LiveModels) -> FlaskClient:
    return create_app(Settings(), live_models).test_client()


def samples(client: FlaskClient) -> Samples:
    return scraping.samples(client.get("/metrics").text)


def test_requests_predictions_and_refusals_are_counted_by_what_they_were(client: FlaskClient) -> None:
    client.post("/predict", json=STEVE)
    client.post("/predict", json={"weight_kg": 50, "height_cm": 150})
    client.post("/versions/2/predict", json=STEVE)
    client.post("/predict/columns", json={"weight_kg": [73, 50, 50], "height_cm": [182, 150, 150]})
    client.post("/predict", json={"weight_kg": 182, "height_cm": 73})
    client.post("/predict/batch", json={"instances": [STEVE, {"weight_kg": 2, "height_cm": 3}, {}]})
    for path in ("/a", "/b", "/predict/c"):
        client.get(path)
    seen = samples(client)
    requests = {key[1:]: value for key, value in seen.items() if key[0] == "stature_requests_total"}
    assert requests == {
        ("1", "/predict", "200"): 2,
        ("2", "/versions/{name}/predict", "200"): 1,
        ("1", "/predict/columns", "200"): 1,
        ("1", "/predict", "422"): 1,
        ("1", "/predict/batch", "422"): 1,
        ("none", "unknown", "404"): 3,
    }
    timed = {key[1:]: value for key, value in seen.items() if key[0] == "stature_request_duration_seconds_count"}
    assert timed == requests
    assert seen["stature_request_duration_seconds_bucket", "+Inf", "1", "/predict", "200"] == 2
    assert {key[1:]: value for key, value in seen.items() if key[0] == "stature_predictions_total"} == {
        ("male", "1"): 2,
        ("female", "1"): 3,
        ("male", "2"): 1,
        ("female", "2"): 0,
    }
    assert seen["stature_prediction_probability_count", "1"] == 5
    assert seen["stature_request_people_count",] == 4
    assert seen["stature_request_people_sum",] == 6
    refused = {key[1]: value for key, value in seen.items() if key[0] == "stature_refused_inputs_total" and value}
    assert refused == {"swapped_measurements": 1, "missing": 2}
    assert seen["stature_drift_people",] == 6 + 2


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
@settings(max_examples=50)
def test_people_one_by_one_are_counted_as_people_in_a_batch(probabilities: list[float]) -> None:
    generator = np.random.default_rng(len(probabilities))
    weights, heights = generator.uniform(60, 800, len(probabilities)), generator.uniform(40, 98, len(probabilities))
    weights[::3] = 5.0 * np.round(weights[::3] / 5.0)
    inside = generator.random(len(probabilities)) < 0.5
    single, batch = Metrics(clock=lambda: 0.0), Metrics(clock=lambda: 0.0)
    for one in zip(weights.tolist(), heights.tolist(), probabilities, inside.tolist(), strict=True):
        single.predicted(1, *one)
    batch.predicted(1, weights, heights, np.array(probabilities), inside)
    (one_by_one,), (together,) = single.slots.read(), batch.slots.read()
    for key in ("predictions\t1", "window"):
        assert one_by_one.blocks[key] == pytest.approx(together.blocks[key])


def test_threads_count_every_request() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(2_000):
            metrics.request_finished("/predict", 200, 0.001, 1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (slot,) = metrics.slots.read()
    assert slot.blocks["requests\t/predict\t200\t1"][:-1].sum() == 16_000


def test_a_caller_who_pins_every_version_makes_few_labels_and_leaves_room_for_champions() -> None:
    metrics = Metrics()
    for version in range(1, 1000):
        metrics.request_finished("/versions/{name}/predict", 200, 0.001, version)
        metrics.predicted(version, 180.0, 70.0, 0.5, inside=True)
    for champion in range(2000, 2200):
        metrics.followed(champion, champion, [champion])
        metrics.request_finished("/predict", 200, 0.001, champion)
    (slot,) = metrics.slots.read()
    labels = {key.split("\t")[-1] for key in slot.blocks if key.startswith(("requests", "predictions"))}
    assert labels == {str(n) for n in (*range(1, 51), *range(2000, 2050))} | {"other"}
    assert sum(slot.blocks[key][:-1].sum() for key in slot.blocks if key.startswith("requests")) == 999 + 200


def test_all_labels_that_there_can_be_fit_into_a_slot() -> None:
    metrics = Metrics()
    routes = [f"/versions/{{name}}/predict/{suffix}" for suffix in range(6)]
    statuses = (200, 400, 401, 403, 404, 405, 413, 415, 422, 429, 431, 500, 503)
    for version in range(1, 200):
        metrics.followed(version, version, [version])
        metrics.predicted(version, 180.0, 70.0, 0.5, inside=True)
        for route in routes:
            for status in statuses:
                metrics.request_finished(route, status, 0.001, version)
    for route in range(40):
        for status in statuses:
            metrics.request_finished(f"/some/longer/route/of/no/prediction/{route}", status, 0.001, None)


def test_restarts_do_not_add_to_the_versions_that_are_told_apart(tmp_path: Path) -> None:
    keys = set()
    for start in range(0, 3000, 100):
        metrics = Metrics(slots := Slots(tmp_path))
        assert slots.number == 1
        for version in range(start, start + 100):
            metrics.request_finished("/predict", 200, 0.001, version)
        keys |= set(slots.keys)
        slots.close()
    assert len([key for key in keys if key.startswith("requests")]) == 51


def test_promtool_has_nothing_to_say_about_a_scrape(client: FlaskClient) -> None:
    for _ in range(300):
        client.post("/predict", json=STEVE)
    client.post("/predict", json={})
    assert promtool("check", "metrics", given=client.get("/metrics").text) == ""


def test_a_scrape_is_also_open_metrics_for_who_asks_for_it(client: FlaskClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert client.get("/metrics").content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_what_is_served_is_told_and_how_long_ago_the_registry_was_read(trained: Registry) -> None:
    now = 1000.0
    live_models = LiveModels(trained, 3600.0, Metrics(clock=lambda: now))
    client = create_app(Settings(), live_models).test_client()
    seen = samples(client)
    assert seen["stature_worker_champion_version", "1"] == 0
    assert not any(key[0] == "stature_champion_info" for key in seen)
    live_models.refresh()
    now += 12.0
    seen = samples(client)
    digest = trained.manifest(1).digest
    assert seen["stature_champion_info", digest, "gender", "1"] == 1
    assert seen["stature_worker_champion_version", "1"] == 1
    assert seen["stature_worker_log_number", "1"] == 1
    assert seen["stature_registry_staleness_seconds",] == 12.0
    assert seen["stature_reload_attempts_total",] == 1
    live_models.refresh()
    trained.promote(2, by="a test")
    live_models.refresh()
    seen = samples(client)
    assert seen["stature_worker_champion_version", "1"] == 2
    assert seen["stature_worker_log_number", "1"] == 2
    assert seen["stature_registry_staleness_seconds",] == 0.0
    assert (seen["stature_reload_attempts_total",], seen["stature_reload_failures_total",]) == (2, 0)


def test_a_champion_that_cannot_be_loaded_is_a_failed_reload(trained: Registry, live_models: LiveModels) -> None:
    client = create_app(Settings(), live_models).test_client()
    artifact = trained.storage.root / "gender" / trained.manifest(2).files.weights.key
    trained.promote(2, by="a test")
    artifact.write_bytes(b"no weights")
    live_models.refresh()
    seen = samples(client)
    assert seen["stature_worker_champion_version", "1"] == 1
    assert seen["stature_worker_log_number", "1"] == 2
    assert seen["stature_reload_failures_total",] == 1


def test_a_request_that_was_turned_away_is_counted_and_not_logged(
    live_models: LiveModels, caplog: pytest.LogCaptureFixture
) -> None:
    flask = create_app(Settings(), live_models)
    lane = Lane(Settings(), live_models, flask)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    for path in ("/predict", "/versions/2/predict/batch", "/versions"):
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": []}
        asyncio.run(lane({**scope, "extensions": {CROWDED: {}}}, receive, send))
    assert [message["status"] for message in sent[::2]] == [503, 503, 503]
    assert named(samples(flask.test_client()), "stature_requests_total") == {
        ("none", "/predict", "503"): 1,
        ("none", "/versions/{name}/predict/batch", "503"): 1,
        ("none", "unknown", "503"): 1,
    }
    assert "service.requests" not in {record.name for record in caplog.records}


def test_who_sends_thousands_of_bad_requests_does_not_fill_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    started = time.monotonic()
    for _ in range(300):
        client.post("/predict", json={})
    seconds = int(time.monotonic() - started) + 2
    lines = [record for record in caplog.records if record.name == "service.requests"]
    assert 10 <= len(lines) <= 10 * seconds
    assert named(samples(client), "stature_requests_total") == {("1", "/predict", "422"): 300}
