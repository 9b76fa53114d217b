"""Moving aliases over HTTP: who may, what is refused, and what the log says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.errors import StorageError
from model.registry.audit import problems
from model.tokens import new_token
from service.app import create_app
from service.settings import Settings

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from model.registry.registry import Registry
    from service.live_models import LiveModels

STEVE = {"weight_kg": 73, "height_cm": 182}
ADMIN, ADMIN_LINE = new_token("deploy", ["admin"])
READER, READER_LINE = new_token("dashboard", ["read"])
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def client(live_models: LiveModels) -> FlaskClient:
    settings = Settings(tokens=f"{ADMIN_LINE}\n{READER_LINE}", open_scopes="predict")
    return create_app(settings, live_models).test_client()


def test_an_admin_promotes_and_rolls_back_and_the_next_answer_is_of_that_version(
    client: FlaskClient, trained: Registry
) -> None:
    promoted = client.put("/aliases/champion", json={"version": 2, "expect": 1, "reason": "a try"}, headers=AS_ADMIN)
    assert promoted.json == {"model": "gender", "log_number": 2, "aliases": {"champion": 2, "previous": 1}}
    assert client.post("/predict", json=STEVE).json["model_version"] == 2
    rolled_back = client.post("/rollback", json={"expect": 2}, headers=AS_ADMIN)
    assert rolled_back.json["aliases"] == {"champion": 1, "previous": 2}
    assert client.post("/predict", json=STEVE).json["model_version"] == 1
    assert [(record.by, record.reason) for record in trained.log(after=1)] == [
        ("token of deploy", "a try"),
        ("token of deploy", ""),
    ]
    assert not list(problems(trained))


def test_another_alias_than_champion_is_set_and_can_be_pinned_at_once(client: FlaskClient) -> None:
    assert client.put("/aliases/challenger", json={"version": 2}, headers=AS_ADMIN).status_code == 200
    assert client.post("/versions/challenger/predict", json=STEVE).json["model_version"] == 2


@pytest.mark.parametrize("request_", [("PUT", "/aliases/champion", {"version": 2}), ("POST", "/rollback", {})])
@pytest.mark.parametrize(
    ("authorization", "refused"),
    [
        (None, (401, "")),
        ("Bearer no-such-token", (401, ', error="invalid_token"')),
        (f"Bearer {READER}", (403, ', error="insufficient_scope"')),
    ],
    ids=["nobody", "a stranger", "a reader"],
)
def test_who_is_no_admin_changes_nothing(
    client: FlaskClient, trained: Registry, request_: tuple, authorization: str | None, refused: tuple[int, str]
) -> None:
    method, path, body = request_
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.open(path, method=method, json=body, headers=headers)
    status, wrong = refused
    assert answer.status_code == status
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="stature", scope="admin"{wrong}'
    assert trained.head().number == 1


def test_a_scope_lets_in_at_its_own_doors_only(client: FlaskClient) -> None:
    as_reader = {"Authorization": f"Bearer {READER}"}
    for path in ("/versions", "/versions/1", "/aliases", "/log"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=AS_ADMIN).status_code == 403
        assert client.get(path, headers=as_reader).status_code == 200
    assert client.post("/predict", json=STEVE).status_code == 200
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200


def test_without_tokens_nobody_is_an_admin(live_models: LiveModels) -> None:
    answer = create_app(Settings(), live_models).test_client().post("/rollback", headers=AS_ADMIN)
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/forbidden")
    assert "stature token new --scope admin" in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/aliases/champion", {"version": 2, "expect": 2}),
        ("PUT", "/aliases/champion", {"version": 2, "expect": "none"}),
        ("POST", "/rollback", {"expect": 7}),
        ("POST", "/rollback", {}),  # there is no previous champion
    ],
)
def test_what_was_expected_and_does_not_hold_is_a_conflict_that_says_how_things_stand(
    client: FlaskClient, trained: Registry, method: str, path: str, body: dict
) -> None:
    answer = client.open(path, method=method, json=body, headers=AS_ADMIN)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/conflict")
    assert (answer.json["log_number"], answer.json["aliases"]) == (1, {"champion": 1})
    assert trained.head().number == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/version"),
        ({"version": "2"}, "#/version"),
        ({"version": 2.5}, "#/version"),
        ({"version": True}, "#/version"),
        ({"version": 0}, "#/version"),
        ({"version": 10**400}, "#/version"),
        ({"version": 2, "expect": "some"}, "#/expect"),
        ({"version": 2, "reason": "x" * 1001}, "#/reason"),
        ({"version": 2, "because": "it is better"}, "#/because"),
        ({"version": 2, "a/b~c": 1}, "#/a~1b~0c"),
        ([2], "#"),
    ],
)
def test_a_change_that_cannot_be_understood_is_refused_where_it_is_wrong(
    client: FlaskClient, trained: Registry, body: object, pointer: str
) -> None:
    answer = client.put("/aliases/champion", data=json.dumps(body), content_type="application/json", headers=AS_ADMIN)
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-change")
    assert {error["pointer"] for error in answer.json["errors"]} == {pointer}
    assert trained.head().number == 1


def test_a_version_that_is_not_there_and_a_name_that_cannot_be_an_alias_are_told(client: FlaskClient) -> None:
    assert client.put("/aliases/champion", json={"version": 9}, headers=AS_ADMIN).status_code == 404
    for name in ("previous", "7", "Champion", "a b"):
        answer = client.put(f"/aliases/{name}", json={"version": 2}, headers=AS_ADMIN)
        assert answer.status_code in (409, 422), (name, answer.json)


def test_a_registry_that_cannot_be_written_is_said_and_what_is_served_stays(
    client: FlaskClient, trained: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.link", refuse)
    answer = client.put("/aliases/champion", json={"version": 2}, headers=AS_ADMIN)
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/registry-unavailable")
    assert str(Path(str(trained.storage))) not in answer.text
    assert client.post("/predict", json=STEVE).json["model_version"] == 1


def test_a_change_that_may_have_been_made_is_not_said_not_to_have_been(
    client: FlaskClient, trained: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The store carries out the put, and is away before it can say so."""
    put, get = trained.storage.put_if_absent, trained.storage.get

    def fail(*_: object) -> None:
        raise StorageError("the store does not answer")

    def put_and_vanish(key: str, content: bytes) -> None:
        put(key, content)
        monkeypatch.setattr(trained.storage, "get", fail)
        fail()

    monkeypatch.setattr(trained.storage, "put_if_absent", put_and_vanish)
    answer = client.put("/aliases/champion", json={"version": 2}, headers=AS_ADMIN)
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/registry-unavailable")
    assert "tell whether it was made" in answer.json["detail"]
    assert "the change by token of deploy was not acknowledged: the store does not answer" in caplog.text
    monkeypatch.setattr(trained.storage, "get", get)
    assert trained.head().champion == 2


def test_a_token_is_never_in_an_answer_or_in_the_log(client: FlaskClient, trained: Registry) -> None:
    answers = [
        client.put("/aliases/champion", json={"version": 2}, headers=AS_ADMIN),
        client.get("/log", headers={"Authorization": f"Bearer {READER}"}),
        client.get("/log", headers=AS_ADMIN),
        client.get("/log", headers={"Authorization": f"Bearer {ADMIN}x"}),
    ]
    texts = [answer.text for answer in answers] + [record.model_dump_json() for record in trained.log()]
    assert not any(token in text for token in (ADMIN, READER) for text in texts)


def test_a_change_that_was_made_is_acknowledged_though_the_registry_cannot_be_read_after_it(
    client: FlaskClient, live_models: LiveModels, trained: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StorageError("the store does not answer")

    monkeypatch.setattr(live_models, "refresh", refuse)
    answer = client.put("/aliases/champion", json={"version": 2}, headers=AS_ADMIN)
    assert (answer.status_code, answer.json["aliases"]["champion"]) == (200, 2)
    assert trained.head().champion == 2
