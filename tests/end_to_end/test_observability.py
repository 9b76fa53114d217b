"""A real service, seen as its operator sees it: its numbers are right through restarts, reloads and drift, for the
test that counts along and for a real Prometheus; and its log tells what happened and never what anyone measures.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import RunningService, serve, wait_for
from end_to_end.scraping import Watching, kill_a_worker, scrape, wait_until_ready
from prometheus_server import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.registry import Registry

PERSON = {"weight_kg": 73.25, "height_cm": 181.75}


LANES = ("fast", "flask")


@pytest.fixture
def service(trained: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """Two workers, of the lane that a test asks for."""
    lane = getattr(request, "param", "fast")
    with serve(trained.storage.root, tmp_path / "log", "--workers", "2", STATURE_LANE=lane) as running:
        yield running


def slots(service: RunningService) -> list[Path]:
    """The files that the workers count in, found as an operator would: by what a worker has open."""
    for link in Path(f"/proc/{service.workers()[0]}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a file that the watcher has just closed
            opened = link.readlink()
            if "stature-slots-" in str(opened):
                return sorted((opened if opened.is_dir() else opened.parent).glob("slot-*"))
    raise AssertionError("the worker counts nowhere")


@pytest.mark.parametrize("service", LANES, indirect=True)
def test_no_request_is_counted_twice_or_forgotten_when_workers_are_killed(service: RunningService) -> None:
    wait_until_ready(service, workers=2)
    with Watching(service) as watching:
        for kill in range(1, 21):
            for _ in range(9):
                assert service.request("POST", "/predict", PERSON)[0] == 200
            seen = scrape(service)
            assert seen["stature_requests_total", "1", "/predict", "200"] == 9 * kill
            assert seen["stature_predictions_total", "male", "1"] == 9 * kill
            assert seen["stature_drift_people",] == 9 * kill
            kill_a_worker(service)
            if kill == 2:
                files, length = slots(service), len(scrape(service))
    assert watching.gone_back == []
    assert watching.scrapes > 20
    seen = scrape(service)
    assert seen["stature_requests_total", "1", "/predict", "200"] == 180
    assert seen["stature_worker_starts_total",] == 22
    # As many files and lines as after the second restart, whatever may have been asked meanwhile.
    assert slots(service) == files
    assert len(seen) == length
    folder = files[0].parent
    assert service.terminate() == 0
    assert not folder.exists()


@pytest.mark.parametrize("service", LANES, indirect=True)
def test_a_service_whose_counts_were_removed_goes_on_answering_and_gives_no_wrong_ones(service: RunningService) -> None:
    wait_until_ready(service, workers=2)
    folder = slots(service)[0].parent
    shutil.rmtree(folder)
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda gone=worker: len(now := service.workers()) == 2 and gone not in now, service.log.read_text)
    told = f"{folder} is gone: /metrics and /drift fail until the service is started anew"
    wait_for(lambda: service.log.read_text().count(told) == 2, service.log.read_text)
    assert service.request("POST", "/predict", PERSON)[0] == 200
    assert service.request("GET", "/metrics")[0] == service.request("GET", "/drift")[0] == 500
    assert service.terminate() == 0


def test_a_real_prometheus_scrapes_the_service(service: RunningService, trained: Registry, tmp_path: Path) -> None:
    configuration = f"""
scrape_configs:
  - job_name: stature
    scrape_interval: 200ms
    scrape_timeout: 200ms
    static_configs: [{{targets: ["127.0.0.1:{service.port}"]}}]
"""
    with prometheus(configuration, tmp_path / "prometheus") as server:
        for _ in range(7):
            service.request("POST", "/predict", PERSON)
        service.request("POST", "/predict", {"weight_kg": 182, "height_cm": 73})
        answered = 'stature_requests_total{route="/predict",status="200",model_version="1"}'
        wait_for(lambda: server.value(answered) == 7)
        wait_for(lambda: server.value('stature_refused_inputs_total{reason="swapped_measurements"}') == 1)
        assert server.value("histogram_quantile(0.5, sum by (le) (stature_prediction_probability_bucket))") < 0.5
        digest = trained.manifest(1).digest
        assert server.value(f'stature_champion_info{{version="1", digest="{digest}"}}') == 1
        wait_for(lambda: server.value("count(stature_worker_log_number == 1)") == 2)
        kinds = {name: said[0] for name, said in server.get("metadata").items() if name.startswith("stature_")}
        assert all(said["help"] for said in kinds.values())
        assert kinds["stature_requests"]["type"] == "counter", "it is asked for as OpenMetrics, without the _total"
        (target,) = server.get("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.parametrize("lane", LANES)
def test_the_log_is_json_and_says_what_happened_but_never_what_anyone_measures(
    trained: Registry, tmp_path: Path, lane: str
) -> None:
    log = tmp_path / "log"
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    secrets = ["73.25", "181.75", "7325.5", "58.625", "9999.5"]
    environment = {"STATURE_LOG_REQUESTS": "all", "STATURE_LANE": lane}
    with serve(trained.storage.root, log, "--workers", "1", **environment) as service:
        asked = [
            ("/predict", {"weight_kg": 73.25, "height_cm": 181.75}),
            ("/predict", {"weight_kg": 7325.5, "height_cm": 181.75}),
            ("/predict/batch", {"instances": [{"weight_kg": 58.625, "height_cm": 181.75}, {"weight_kg": 9999.5}]}),
            ("/predict/columns", {"weight_kg": [58.625, 9999.5], "height_cm": [181.75, 181.75]}),
            ("/versions/58.625/predict", {"weight_kg": 73.25, "height_cm": 181.75}),
            ("/predict/9999.5?weight_kg=58.625", {}),
        ]
        connection = service.connect()
        for number, (path, document) in enumerate(asked):
            headers = {"Content-Type": "application/json", "X-Request-Id": f"request-{number}", "traceparent": trace}
            connection.request("POST", path, json.dumps(document), headers)
            response = connection.getresponse()
            assert response.getheader("X-Request-Id") == f"request-{number}"
            assert response.getheader("traceparent") == trace
            response.read()
        for path in ("/livez", "/readyz", "/metrics", "/aliases"):
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
        service.terminate()
    assert not [secret for secret in secrets if secret in log.read_text()]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(set(line) >= {"time", "level", "logger", "message"} for line in lines)
    assert any(line["logger"] == "gunicorn.error" and "Listening at" in line["message"] for line in lines)
    assert any(line["message"] == "serving version 1 of gender, log record 1" for line in lines)
    requests = [line for line in lines if line["logger"] == "service.requests"]
    assert [(line["route"], line["status"], line.get("model_version")) for line in requests] == [
        ("/predict", 200, 1),
        ("/predict", 422, 1),
        ("/predict/batch", 422, 1),
        ("/predict/columns", 422, 1),
        ("/versions/{name}/predict", 404, None),
        ("unknown", 404, None),
        ("/aliases", 200, None),
    ]
    assert [line["request_id"] for line in requests[:-1]] == [f"request-{number}" for number in range(6)]
    assert {line.get("trace_id") for line in requests[:-1]} == {"0af7651916cd43dd8448eb211c80319c"}
    assert all(0.0 < line["duration_seconds"] < 30.0 for line in requests)


def test_unless_told_otherwise_the_log_has_only_what_someone_would_look_for(trained: Registry, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve(trained.storage.root, log, "--workers", "1", STATURE_LOG="text") as service:
        assert service.request("POST", "/predict", PERSON)[0] == 200
        assert service.request("GET", "/aliases")[0] == 200
        assert service.request("POST", "/predict", {})[0] == 422
        service.terminate()
    requests = [line for line in log.read_text().splitlines() if "service.requests" in line]
    assert len(requests) == 1
    assert " INFO service.requests request request_id=" in requests[0]
    assert " route=/predict status=422 " in requests[0]


def test_a_form_of_log_that_there_is_not_ends_the_service_by_name(trained: Registry, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="STATURE_LOG is 'xml': json or text is expected"),
        serve(trained.storage.root, tmp_path / "log", STATURE_LOG="xml"),
    ):
        pass
