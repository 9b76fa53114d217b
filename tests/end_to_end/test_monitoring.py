"""What is shipped for monitoring, tried on the real thing: alerts by promtool, the dashboard's queries on a Prometheus
that has scraped a real service, the Compose profile by Compose.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from end_to_end.container_engine import ROOT
from end_to_end.running_service import STATURE, serve, wait_for
from prometheus_server import Prometheus, prometheus, promtool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    assert re.search(r"SUCCESS: \d+ rules found", promtool("check", "rules", str(MONITORING / "alerts.yml")))
    assert "SUCCESS" in promtool("test", "rules", str(MONITORING / "alerts_test.yml"))
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml"))


def test_every_alert_is_tried_both_ways_and_has_a_runbook() -> None:
    rules, tests = ((MONITORING / name).read_text() for name in ("alerts.yml", "alerts_test.yml"))
    runbooks = re.findall(r"^### (Stature\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert alerts == runbooks
    assert [f"#{alert.lower()}" for alert in alerts] == re.findall(r"runbook: docs/operations\.md(#\w+)", rules)
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\}}", tests), f"{alert} is never shown to be silent"
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", tests), f"{alert} is never shown to fire"


@contextmanager
def text_files(folder: Path) -> Iterator[int]:
    """What jobs left, over HTTP, as the node exporter gives it to Prometheus."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped a service that was asked all kinds of things, and what a training left."""
    folder = tmp_path_factory.mktemp("monitored")
    (folder / "jobs").mkdir()
    train = [str(STATURE), "train", "--registry", str(folder / "registry")]
    subprocess.run([*train, "--metrics-file", str(folder / "jobs" / "training")], check=True, capture_output=True)
    generator = np.random.default_rng(0)
    with serve(folder / "registry", folder / "log") as service, text_files(folder / "jobs") as jobs_port:
        configuration = f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - {{job_name: stature, static_configs: [{{targets: ["127.0.0.1:{service.port}"]}}]}}
  - {{job_name: jobs, metrics_path: /training, static_configs: [{{targets: ["127.0.0.1:{jobs_port}"]}}]}}
"""
        with prometheus(configuration, folder / "prometheus") as server:
            asked = 0
            answered = "stature_predictions_total"

            def scraped_since() -> bool:
                return sum(float(series["value"][1]) for series in server.query(answered)) == asked

            for _ in range(3):
                weights, heights = generator.normal(80, 15, 100).tolist(), generator.normal(168, 9, 100).tolist()
                people = {"weight_kg": weights, "height_cm": heights}
                assert service.request("POST", "/predict/columns", people)[0] == 200
                assert service.request("POST", "/predict", {"weight_kg": 73, "height_cm": 182})[0] == 200
                assert service.request("POST", "/predict", {"weight_kg": 182, "height_cm": 73})[0] == 422
                asked += 101
                wait_for(scraped_since, service.log.read_text)
            yield server


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_of_the_dashboard_shows_something(monitored: Prometheus, title: str, query: str) -> None:
    found = monitored.query(query.replace("$__rate_interval", "1m"))
    assert found, f"{title}: {query} gives nothing"
    assert all(np.isfinite(float(series["value"][1])) for series in found), f"{title}: {query} gives no numbers"


def test_every_alert_can_be_evaluated_on_the_services_own_series(monitored: Prometheus) -> None:
    """A name that is misspelt in a rule would never fire, and no test of rules on made-up series would tell."""
    rules = (MONITORING / "alerts.yml").read_text()
    known = set(monitored.get("label/__name__/values"))
    names = set(re.findall(r"\bstature_\w+", rules))
    assert names
    assert names <= known


def test_every_family_is_on_the_dashboard_or_needs_no_place_there(monitored: Prometheus) -> None:
    shown = " ".join(query for _, query in QUERIES)
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in monitored.get("label/__name__/values")}
    unseen = {name for name in families if name.startswith("stature_") and name not in shown}
    assert unseen == {
        "stature_build_info",
        "stature_drift_refused_by_reason_ratio",
        "stature_training_duration_seconds",
        "stature_training_end_timestamp_seconds",
        "stature_training_people",
        "stature_training_published_version",
    }
