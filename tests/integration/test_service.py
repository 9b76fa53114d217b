"""The Flask application over a real registry: every route, every kind of refusal, and the following of the registry."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from model.registry.storage import LocalStorage
from model.training import job
from service.app import create_app, from_environment
from service.live_models import LiveModels
from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

    from model.registry.registry import Registry

STEVE = {"weight_kg": 73, "height_cm": 182}
SETTINGS = Settings(maximum_body_bytes=10_000, maximum_people=1_000)


@pytest.fixture
def client(live_models: LiveModels) -> FlaskClient:
    return create_app(SETTINGS, live_models).test_client()


# Predictions


@pytest.mark.parametrize(
    ("suffix", "sent"),
    [("", STEVE), ("/batch", {"instances": [STEVE]}), ("/columns", {"weight_kg": [73], "height_cm": [182]})],
)
def test_the_champion_and_pinned_versions_answer_alike_by_number_and_alias(
    client: FlaskClient, suffix: str, sent: dict
) -> None:
    by_champion = client.post(f"/predict{suffix}", json=sent)
    assert by_champion.status_code == 200
    assert by_champion.content_type == "application/json"
    assert by_champion.headers["X-Model-Version"] == "1"
    assert by_champion.headers["X-Model-Digest"] == client.get("/versions/1").json["digest"]
    for name in ("1", "champion"):
        assert client.post(f"/versions/{name}/predict{suffix}", json=sent).data == by_champion.data
    pinned = client.post(f"/versions/2/predict{suffix}", json=sent)
    assert pinned.headers["X-Model-Version"] == "2"
    assert pinned.json["model_version"] == 2


def test_a_version_that_was_just_published_can_be_pinned_at_once(client: FlaskClient, trained: Registry) -> None:
    assert client.post("/versions/3/predict", json=STEVE).status_code == 404
    job.run(job.Settings(hidden=(), promote="never"), trained, by="a test")
    assert client.post("/versions/3/predict", json=STEVE).json["model_version"] == 3


# Refusals


def problem(response) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == response.status_code
    assert response.json["request_id"] == response.headers["X-Request-Id"]
    assert {"type", "title", "detail"} < set(response.json)
    assert "Traceback" not in response.text
    return response.status_code, response.json["type"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"path": "/predict", "data": "{", "content_type": "application/json"}, (400, "/problems/not-json")),
        ({"path": "/predict", "data": "{}"}, (415, "/problems/unsupported-media-type")),
        ({"path": "/predict", "data": "{}", "content_type": "text/plain"}, (415, "/problems/unsupported-media-type")),
        ({"path": "/predict", "json": {}}, (422, "/problems/invalid-measurements")),
        ({"path": "/predict", "json": "x" * 20_000}, (413, "/problems/too-large")),
        ({"path": "/predict/batch", "json": {"instances": [{}]}}, (422, "/problems/invalid-measurements")),
        ({"path": "/predict/"}, (404, "/problems/not-found")),
        ({"path": "//predict"}, (404, "/problems/not-found")),
        ({"path": "/nothing"}, (404, "/problems/not-found")),
        ({"path": "/versions/9/predict", "json": STEVE}, (404, "/problems/not-found")),
        ({"path": "/versions/01/predict", "json": STEVE}, (404, "/problems/not-found")),
        ({"path": "/versions/nobody/predict", "json": STEVE}, (404, "/problems/not-found")),
        ({"path": "/versions/..%2f..%2fetc/predict", "json": STEVE}, (404, "/problems/not-found")),
        ({"path": "/versions/1", "method": "DELETE"}, (405, "/problems/method-not-allowed")),
        ({"path": "/predict", "method": "GET"}, (405, "/problems/method-not-allowed")),
        ({"path": "/versions?limit=0", "method": "GET"}, (422, "/problems/invalid-query")),
        ({"path": "/versions?limit=1001", "method": "GET"}, (422, "/problems/invalid-query")),
        ({"path": "/log?after=-1", "method": "GET"}, (422, "/problems/invalid-query")),
        ({"path": "/log?after=x", "method": "GET"}, (422, "/problems/invalid-query")),
        ({"path": "/versions/nobody", "method": "GET"}, (404, "/problems/not-found")),
    ],
)
def test_every_refusal_is_a_problem(client: FlaskClient, request_: dict, expected: tuple[int, str]) -> None:
    assert problem(client.open(**{"method": "POST"} | request_)) == expected


def test_a_method_that_does_nothing_is_told_which_would(client: FlaskClient) -> None:
    assert set(client.get("/predict").headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_invalid_measurements_are_told_as_the_design_shows_them(client: FlaskClient) -> None:
    response = client.post("/predict", json={"weight_kg": 182, "height_cm": 73}, headers={"X-Request-Id": "mine"})
    assert response.json == {
        "type": "/problems/invalid-measurements",
        "title": "Invalid measurements",
        "status": 422,
        "detail": "1 error; nothing was predicted",
        "request_id": "mine",
        "error_count": 1,
        "errors": [
            {"pointer": "#/height_cm", "code": "swapped_measurements", "detail": "182 kg and 73 cm look swapped"}
        ],
    }


def test_of_many_errors_the_first_hundred_are_told_and_all_are_counted(client: FlaskClient) -> None:
    response = client.post("/predict/columns", json={"weight_kg": ["x"] * 150, "height_cm": [182] * 150})
    assert response.json["error_count"] == 150
    assert [error["pointer"] for error in response.json["errors"]] == [f"#/weight_kg/{row}" for row in range(100)]


def test_a_body_of_just_the_allowed_size_is_read_and_one_byte_more_is_not(client: FlaskClient) -> None:
    content = json.dumps(STEVE).encode()
    for size, status in ((10_000, 200), (10_001, 413)):
        response = client.post("/predict", data=content.ljust(size), content_type="application/json")
        assert response.status_code == status


@pytest.mark.parametrize("given", ["a-b_c.1", "x" * 128])
def test_a_request_id_is_given_back(client: FlaskClient, given: str) -> None:
    assert client.get("/livez", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "<script>", "é"])
def test_a_request_id_that_could_do_harm_is_replaced(client: FlaskClient, given: str) -> None:
    found = client.get("/livez", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert len(found) == 32
    assert found != given


def test_our_own_fault_tells_a_caller_nothing_and_the_log_everything(
    live_models: LiveModels, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(live_models, "champion", fails)
    client = create_app(SETTINGS, live_models).test_client()
    response = client.post("/predict", json=STEVE, headers={"X-Request-Id": "mine"})
    assert problem(response) == (500, "/problems/internal-error")
    assert "secret" not in response.text
    assert "ZeroDivisionError: a secret" in caplog.text
    assert "request mine to /predict failed" in caplog.messages
    assert "73" not in caplog.messages[0]


# The registry, as the service shows it


def test_versions_are_listed_newest_first_and_page_by_page(client: FlaskClient) -> None:
    first = client.get("/versions?limit=1").json
    assert [version["model_version"] for version in first["versions"]] == [2]
    second = client.get(first["next"]).json
    assert [(version["model_version"], version["aliases"]) for version in second["versions"]] == [(1, ["champion"])]
    assert second["next"] is None


def test_a_version_is_its_manifest_with_its_aliases(client: FlaskClient, trained: Registry) -> None:
    shown = client.get("/versions/champion").json
    assert shown["aliases"] == ["champion"]
    assert shown["number"] == 1
    assert shown["digest"] == trained.manifest(1).digest


def test_aliases_and_log_are_those_of_the_registry(
    client: FlaskClient, live_models: LiveModels, trained: Registry
) -> None:
    trained.promote(2, by="me", reason="why not")
    live_models.refresh()
    assert client.get("/aliases").json == {
        "model": "gender",
        "log_number": 2,
        "aliases": {"champion": 2, "previous": 1},
    }
    first = client.get("/log?limit=1").json
    assert [record["number"] for record in first["records"]] == [1]
    second = client.get(first["next"]).json
    assert [(record["number"], record["reason"]) for record in second["records"]] == [(2, "why not")]
    assert second["next"] is None


# Readiness and following


def test_an_empty_registry_is_alive_and_not_ready(registry: Registry) -> None:
    live_models = LiveModels(registry, 3600.0)
    live_models.refresh()
    client = create_app(SETTINGS, live_models).test_client()
    assert client.get("/livez").json == {"status": "alive"}
    for response in (client.get("/readyz"), client.post("/predict", json=STEVE)):
        assert problem(response) == (503, "/problems/not-ready")
    assert client.get("/versions").json["versions"] == []


def test_ready_says_which_version_is_served(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {"status": "ready", "model": "gender", "model_version": 1, "log_number": 1}


def test_a_promotion_is_served_after_the_next_look(
    client: FlaskClient, live_models: LiveModels, trained: Registry
) -> None:
    trained.promote(2, by="me")
    assert client.post("/predict", json=STEVE).json["model_version"] == 1
    live_models.refresh()
    assert client.post("/predict", json=STEVE).json["model_version"] == 2
    assert client.post("/versions/previous/predict", json=STEVE).json["model_version"] == 1


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_serving_and_says_so_once(
    client: FlaskClient, live_models: LiveModels, trained: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    trained.promote(2, by="me")
    artifact = trained.storage.root / "gender" / trained.manifest(2).files.weights.key
    good = artifact.read_bytes()
    artifact.write_bytes(good[:-1] + b"x")
    with caplog.at_level(logging.INFO):
        live_models.follow()
        live_models.follow()
    assert client.post("/predict", json=STEVE).json["model_version"] == 1
    assert client.get("/readyz").status_code == 200
    assert len([message for message in caplog.messages if "serving version 1: champion: " in message]) == 1

    artifact.write_bytes(good)
    live_models.follow()
    assert client.post("/predict", json=STEVE).json["model_version"] == 2


def test_a_damaged_alias_beside_the_champion_does_not_hold_the_champion_up(
    client: FlaskClient, live_models: LiveModels, trained: Registry
) -> None:
    damaged = trained.storage.root / "gender" / trained.manifest(1).files.weights.key
    live_models._live = type(live_models.live)()  # a worker that starts afresh has loaded nothing yet
    trained.promote(2, by="me")
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    live_models.refresh()
    assert client.post("/predict", json=STEVE).json["model_version"] == 2
    response = client.post("/versions/previous/predict", json=STEVE)
    assert problem(response) == (503, "/problems/not-ready")
    assert "sha256" not in response.text


def test_a_service_that_starts_with_a_damaged_champion_says_what_is_so(trained: Registry) -> None:
    damaged = trained.storage.root / "gender" / trained.manifest(1).files.weights.key
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    live_models = LiveModels(trained, 3600.0)
    live_models.refresh()
    client = create_app(SETTINGS, live_models).test_client()
    for path in ("/predict", "/versions/champion/predict"):
        response = client.post(path, json=STEVE)
        assert problem(response) == (503, "/problems/not-ready")
        assert "version 1 is champion of gender and cannot be loaded" in response.json["detail"]
    assert client.get("/aliases").json["aliases"] == {"champion": 1}
    assert client.post("/versions/2/predict", json=STEVE).status_code == 200


def test_a_registry_that_vanishes_leaves_the_champion_serving(
    client: FlaskClient, live_models: LiveModels, trained: Registry
) -> None:
    root = trained.storage.root
    root.rename(root.with_name("away"))
    live_models.follow()
    assert client.post("/predict", json=STEVE).json["model_version"] == 1
    assert client.get("/readyz").status_code == 200


def test_another_registry_in_its_place_is_told_though_it_has_as_many_records(
    client: FlaskClient, live_models: LiveModels, trained: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """It was removed and trained anew: whoever starts now answers with another version 1."""
    root = trained.storage.root
    root.rename(root.with_name("away"))
    job.run(job.Settings(seed=3), trained, by="a test")
    live_models.follow()
    live_models.follow()
    assert [message for message in caplog.messages if "log record 1 of gender is not what it was" in message] == [
        caplog.messages[-1]
    ]
    assert client.post("/predict", json=STEVE).status_code == 200


class Stumbling(LocalStorage):
    """Storage whose first looks fail in a way that nobody thought of."""

    failures = 3

    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError
        return super().get(key, maximum_bytes)


@pytest.fixture
def following(trained: Registry) -> Iterator[LiveModels]:
    trained.storage = Stumbling(trained.storage.root)
    live_models = LiveModels(trained, poll_seconds=0.01)
    live_models.start()
    yield live_models
    live_models.stop()


def test_the_watcher_outlives_whatever_comes_and_follows(following: LiveModels, trained: Registry) -> None:
    seen = threading.Event()
    deadline = threading.Timer(30, seen.set)
    deadline.start()
    while following.live.champion is None and not seen.wait(0.005):
        pass
    trained.promote(2, by="me")
    while following.live.champion.manifest.number != 2 and not seen.wait(0.005):
        pass
    assert not seen.is_set(), "not followed within 30 s"
    deadline.cancel()


def test_the_service_is_wired_from_its_environment(trained: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATURE_REGISTRY", str(trained.storage.root))
    client = from_environment().test_client()
    assert client.post("/predict", json=STEVE).json["model_version"] == 1
