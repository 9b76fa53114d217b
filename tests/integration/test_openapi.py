"""The API's description says what the application does: every route, every answer, every header, every problem."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from model import tokens, units
from service import answers, errors
from service.app import create_app
from service.live_models import LiveModels
from service.openapi.document import document
from service.settings import Settings

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from pydantic import BaseModel
    from werkzeug.test import TestResponse

    from model.registry.registry import Registry

STEVE = {"weight_kg": 73, "height_cm": 182}


@pytest.fixture
def app(trained: Registry) -> Flask:
    live_models = LiveModels(trained, poll_seconds=3600.0)
    live_models.refresh()
    return create_app(Settings(maximum_body_bytes=10_000), live_models)


@pytest.fixture
def api(app: Flask) -> dict[str, Any]:
    answer = app.test_client().get("/openapi.json")
    assert answer.content_type == "application/json"
    return answer.json


def resolved(api: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found = api
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def check(api: dict[str, Any], path: str, response: TestResponse) -> None:
    """The answer is one that the description has: its status, its media type, its schema and its headers."""
    operation = api["paths"][path][response.request.method.lower()]
    documented = operation["responses"][str(response.status_code)]
    for header, about in documented["headers"].items():
        header_about = resolved(api, about)
        assert header in response.headers or not header_about.get("required")
        if header in response.headers:
            schema, value = header_about["schema"], response.headers[header]
            Draft202012Validator(schema).validate(int(value) if schema["type"] == "integer" else value)
    assert {name for name in dict(response.headers) if name.startswith("X-Model")} <= set(documented["headers"])
    if response.status_code == 304:
        return
    content = documented["content"][response.mimetype]
    if response.is_json:
        schema = content.get("schema", {})
        Draft202012Validator({**schema, "components": api["components"]}).validate(response.json)
        if response.status_code >= 400:
            assert response.json["type"].removeprefix("/problems/") in content["examples"]
            assert response.json["title"].lower() in documented["description"].lower()
        model = getattr(answers, schema.get("$ref", "").rpartition("/")[2], None)
        if model is not None:
            everything_is_known(model, response.json)


def everything_is_known(model: type[BaseModel], body: dict[str, Any]) -> None:
    """Clients may meet members that they do not know; in a release's own description there are none."""
    model.model_validate_json(json.dumps(body), extra="forbid")


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document("1.2.3")).validate()


def test_it_has_every_route_of_the_application_and_no_other(app: Flask, api: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method.upper()) for path, methods in api["paths"].items() for method in methods}
    assert described == served


@pytest.mark.parametrize("path", ["/predict", "/livez", "/versions", "/metrics"])
def test_the_trace_of_a_request_is_described_and_repeated(app: Flask, api: dict[str, Any], path: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    operation = next(iter(api["paths"][path].values()))
    method = "POST" if path == "/predict" else "GET"

    answer = app.test_client().open(path, method=method, json=STEVE, headers={"traceparent": trace})

    assert "traceparent" in {resolved(api, parameter)["name"] for parameter in operation["parameters"]}
    assert answer.headers["traceparent"] == trace
    check(api, path, answer)
    assert all("traceparent" in described["headers"] for described in operation["responses"].values())


def test_what_every_answer_has_is_required(api: dict[str, Any]) -> None:
    requests = {"AliasChange", "Change"}
    optional = {
        f"{name}.{member}"
        for name, schema in api["components"]["schemas"].items()
        if name not in requests
        for member in schema.get("properties", {}).keys() - set(schema.get("required", ()))
    }
    assert optional == {"Prediction.explanation"}


def test_operations_have_names_of_their_own(api: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in api["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("path", "requested", "status"),
    [
        *(
            (f"{prefix}{suffix}", {"path": f"{asked}{suffix}", "method": "POST", **sent}, status)
            for prefix, asked in (("/predict", "/predict"), ("/versions/{name}/predict", "/versions/2/predict"))
            for suffix, good in (
                ("", STEVE),
                ("/batch", {"instances": [STEVE]}),
                ("/columns", {"weight_kg": [73, 390], "height_cm": [182, 120]}),
            )
            for sent, status in (
                ({"json": good}, 200),
                ({"data": "{", "content_type": "application/json"}, 400),
                ({"json": "x" * 20_000}, 413),
                ({"data": "{}", "content_type": "text/plain"}, 415),
                ({"json": {"weight_kg": "much"}}, 422),
            )
        ),
        ("/predict", {"path": "/predict?explain=true", "method": "POST", "json": STEVE}, 200),
        ("/predict", {"path": "/predict?explain=perhaps", "method": "POST", "json": STEVE}, 422),
        ("/predict/batch", {"path": "/predict/batch?explain=true", "method": "POST", "json": {"instances": []}}, 422),
        (
            "/versions/{name}/predict",
            {"path": "/versions/2/predict?explain=true", "method": "POST", "json": STEVE},
            200,
        ),
        ("/versions/{name}/predict", {"path": "/versions/9/predict", "method": "POST", "json": STEVE}, 404),
        ("/versions", {"path": "/versions"}, 200),
        ("/versions", {"path": "/versions?limit=1"}, 200),
        ("/versions", {"path": "/versions?limit=0"}, 422),
        ("/versions/{name}", {"path": "/versions/champion"}, 200),
        ("/versions/{name}", {"path": "/versions/nobody"}, 404),
        ("/versions/{name}/report", {"path": "/versions/1/report"}, 200),
        ("/versions/{name}/report", {"path": "/versions/9/report"}, 404),
        ("/aliases", {"path": "/aliases"}, 200),
        ("/log", {"path": "/log"}, 200),
        ("/log", {"path": "/log?after=x"}, 422),
        ("/livez", {"path": "/livez"}, 200),
        ("/readyz", {"path": "/readyz"}, 200),
        ("/drift", {"path": "/drift"}, 200),
        ("/metrics", {"path": "/metrics"}, 200),
        ("/predict", {"path": "/predict?observe=false", "method": "POST", "json": STEVE}, 200),
        ("/predict/batch", {"path": "/predict/batch?observe=no", "method": "POST", "json": {"instances": []}}, 422),
        ("/", {"path": "/"}, 200),
        ("/static/{name}", {"path": "/static/page.js"}, 200),
        ("/static/{name}", {"path": "/static/nothing.js"}, 404),
        ("/static/{name}", {"path": "/static/..%2fapp.py"}, 404),
        ("/docs", {"path": "/docs"}, 200),
        ("/openapi.json", {"path": "/openapi.json"}, 200),
    ],
)
def test_answers_are_as_described(
    app: Flask, api: dict[str, Any], path: str, requested: dict[str, Any], status: int
) -> None:
    response = app.test_client().open(**requested)
    assert response.status_code == status
    check(api, path, response)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/", "/"),
        ("/docs", "/docs"),
        ("/static/{name}", "/static/page.js"),
        ("/versions/{name}/report", "/versions/champion/report"),
    ],
)
def test_a_page_that_a_browser_has_is_not_sent_again(app: Flask, api: dict[str, Any], path: str, asked: str) -> None:
    client = app.test_client()
    again = client.get(asked, headers={"If-None-Match": client.get(asked).headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    check(api, path, again)


def test_a_service_without_a_champion_is_as_described(registry: Registry) -> None:
    live_models = LiveModels(registry, poll_seconds=3600.0)
    client = create_app(Settings(), live_models).test_client()
    api = client.get("/openapi.json").json
    for path, response in (("/readyz", client.get("/readyz")), ("/predict", client.post("/predict", json=STEVE))):
        assert response.status_code == 503
        check(api, path, response)


@pytest.fixture
def guarded(trained: Registry) -> tuple[FlaskClient, dict[str, str], dict[str, str]]:
    """A service that asks for tokens, and the headers of one who may predict and of one who may administer."""
    given = [tokens.new_token("a.test", scopes) for scopes in (("predict",), ("admin",))]
    live_models = LiveModels(trained, poll_seconds=3600.0)
    live_models.refresh()
    settings = Settings(tokens="\n".join(line for _, line in given))
    predicts, administers = ({"Authorization": f"Bearer {token}"} for token, _ in given)
    return create_app(settings, live_models).test_client(), predicts, administers


def test_what_needs_a_token_is_as_described(
    guarded: tuple[FlaskClient, dict[str, str], dict[str, str]], api: dict[str, Any]
) -> None:
    client, predicts, administers = guarded
    for path, method, asked, given, headers, status in (
        ("/predict", "POST", "/predict", STEVE, {}, 401),
        ("/versions", "GET", "/versions", None, predicts, 403),
        ("/aliases/{alias}", "PUT", "/aliases/challenger", {"version": 2}, {}, 401),
        ("/aliases/{alias}", "PUT", "/aliases/challenger", {"version": 2}, predicts, 403),
        ("/aliases/{alias}", "PUT", "/aliases/challenger", {"version": 2}, administers, 200),
        ("/aliases/{alias}", "PUT", "/aliases/champion", {"version": 2, "expect": 7}, administers, 409),
        ("/aliases/{alias}", "PUT", "/aliases/champion", {"version": 9}, administers, 404),
        ("/aliases/{alias}", "PUT", "/aliases/champion", {}, administers, 422),
        ("/rollback", "POST", "/rollback", {}, administers, 409),
        ("/", "GET", "/", None, {}, 200),
        ("/docs", "GET", "/docs", None, {}, 200),
        ("/static/{name}", "GET", "/static/page.js", None, {}, 200),
        ("/openapi.json", "GET", "/openapi.json", None, {}, 200),
    ):
        response = client.open(asked, method=method, json=given, headers=headers)
        assert response.status_code == status, (asked, response.text)
        check(api, path, response)


def test_an_alias_is_accepted_exactly_where_the_description_says_so(
    guarded: tuple[FlaskClient, dict[str, str], dict[str, str]], api: dict[str, Any]
) -> None:
    client, _, administers = guarded
    pattern = path_parameter(api, "/aliases/{alias}")
    starts = ("a", "A", "1", "-", "_", "é", "\uff41", "", "0", "10000000000", "champion", " a")
    ends = ("", "b-_9", "b" * 61, "b" * 62, "b" * 63, "\n", "B", ".", " ", "%", "\u2028", "ß")
    accepted = 0
    for alias in map("".join, product(starts, ends)):
        response = client.put(f"/aliases/{quote(alias)}", json={"version": 1}, headers=administers)
        # JSON Schema's $ is the end of a text alone; Python's may be before its last line's.
        described = not alias.endswith("\n") and re.search(pattern, alias)
        assert response.status_code in ((200,) if described else (404, 422)), (alias, response.text)
        accepted += response.status_code == 200
    assert accepted == 10


@pytest.mark.parametrize("name", ["0", "01", "10000000000", "A", "-", "1a", "a" * 64, "é"])
def test_what_the_description_has_for_no_name_of_a_version_is_none(app: Flask, api: dict[str, Any], name: str) -> None:
    pattern, client = path_parameter(api, "/versions/{name}/report"), app.test_client()
    assert re.fullmatch(pattern, name) is None
    assert client.post(f"/versions/{quote(name)}/predict", json=STEVE).status_code == 404
    for known in ("1", "2", "champion"):
        assert re.fullmatch(pattern, known)
        assert client.post(f"/versions/{known}/predict", json=STEVE).status_code == 200


def path_parameter(api: dict[str, Any], path: str) -> str:
    """The pattern of what stands in a path."""
    (operation,) = api["paths"][path].values()
    (about,) = (resolved(api, part) for part in operation["parameters"] if resolved(api, part)["in"] == "path")
    pattern: str = about["schema"]["pattern"]
    return pattern


def test_an_unreadable_version_is_listed_as_described(app: Flask, api: dict[str, Any], trained: Registry) -> None:
    next((trained.storage.root / "gender" / "versions").glob("*2.json")).write_text("{}")  # type: ignore[attr-defined]
    response = app.test_client().get("/versions")
    assert "problem" in response.json["versions"][0]
    check(api, "/versions", response)


def test_every_example_of_a_prediction_is_what_the_shipped_people_give(app: Flask, api: dict[str, Any]) -> None:
    asked = 0
    for path in ("/predict", "/predict/batch", "/predict/columns"):
        operation = api["paths"][path]["post"]
        answered = operation["responses"]["200"]["content"]["application/json"]["examples"]
        for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items():
            given = app.test_client().post(path, json=example["value"]).json
            assert flat(given) == pytest.approx(flat(answered[name]["value"]), abs=1e-6)
            asked += 1
    assert asked >= 4


def flat(value: Any, at: str = "") -> dict[str, Any]:
    """Every leaf by its place: pytest.approx compares no deeper."""
    if isinstance(value, dict):
        return {place: leaf for name, inner in value.items() for place, leaf in flat(inner, f"{at}/{name}").items()}
    if isinstance(value, list):
        return {place: leaf for row, inner in enumerate(value) for place, leaf in flat(inner, f"{at}/{row}").items()}
    return {at: value}


def test_every_problem_is_described_somewhere(api: dict[str, Any]) -> None:
    described = set(re.findall(r"/problems/([a-z-]+)", json.dumps(api)))
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServiceError)}
    kinds -= {errors.MethodNotAllowedError}  # of a method that a path does not have there is nothing to describe
    assert {kind.type for kind in kinds} == described


def test_the_domain_is_that_of_the_units(api: dict[str, Any]) -> None:
    schemas = api["components"]["schemas"]
    members = schemas["MetricMeasurements"]["properties"] | schemas["ImperialMeasurements"]["properties"]
    assert {name: (about["minimum"], about["maximum"]) for name, about in members.items()} == {
        field.name: (field.minimum, field.maximum) for field in units.FIELDS.values()
    }


def test_the_intended_use_is_told(api: dict[str, Any]) -> None:
    assert "must not decide about a person" in api["info"]["description"]
    assert "says nothing of anyone's identity" in api["info"]["description"]


def test_the_description_can_be_read_as_a_page(app: Flask, api: dict[str, Any]) -> None:
    response = app.test_client().get("/docs")
    assert response.mimetype == "text/html"
    for methods in api["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in response.text
    anchors = set(re.findall(r'id="([^"]+)"', response.text))
    assert set(re.findall(r'href="#([^"]+)"', response.text)) <= anchors
    assert "<script" not in response.text
    assert re.findall(r'(?:src|href)="(?:https?:)?//', response.text) == []


def test_every_command_on_that_page_asks_what_it_stands_at(app: Flask, api: dict[str, Any]) -> None:
    text = html.unescape(app.test_client().get("/docs").text)
    asked = Counter()
    for command in re.findall(r"<code>(curl .*?)</code>", text, re.DOTALL):
        words = shlex.split(command)
        method = words[words.index("-X") + 1] if "-X" in words else "POST"
        path = next(word for word in words if word.startswith("localhost:8000")).removeprefix("localhost:8000")
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        body = words[words.index("-d") + 1]
        assert app.test_client().open(path, method=method, headers=headers, data=body).status_code in {200, 403}, (
            command
        )
        asked["Authorization" in headers] += 1
    examples = [
        (operation["security"], example)
        for methods in api["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
        for example in operation["requestBody"]["content"]["application/json"]["examples"]
    ]
    with_token = sum({} not in security for security, _ in examples)
    assert asked == {True: with_token, False: len(examples) - with_token}
