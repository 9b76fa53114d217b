"""Every route of the service, as the description has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service import answers, errors
from service.openapi.parts import (
    ALIAS,
    EXPLAIN,
    OBSERVE,
    Document,
    answer,
    get,
    headers,
    named,
    operation,
    parameter,
    query,
    ref,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_STEVE = {"weight_kg": 73, "height_cm": 182}
_ALICE = {"weight_lb": 128, "height_in": 63}
_FROM = {"model": "gender", "model_version": 1}
_OF_STEVE = {"probability_female": 0.043928953775324915, "likelier": "male", "in_training_range": True}
_OF_ALICE = {"probability_female": 0.839364552940686, "likelier": "female", "in_training_range": True}

_PREDICTIONS: dict[str, tuple[str, str, Document, type[BaseModel], Document]] = {
    "": (
        "Predict one person",
        "Measurements",
        {"metric": _STEVE, "imperial": _ALICE},
        answers.Prediction,
        {"metric": _OF_STEVE | _FROM, "imperial": _OF_ALICE | _FROM},
    ),
    "/batch": (
        "Predict a list of people, all or nothing",
        "Batch",
        {"two people": {"instances": [_STEVE, _ALICE]}},
        answers.BatchPredictions,
        {"two people": {"predictions": [_OF_STEVE, _OF_ALICE]} | _FROM},
    ),
    "/columns": (
        "Predict many people in two lists, all or nothing",
        "Columns",
        {"one person": {"weight_kg": [73], "height_cm": [182]}},
        answers.ColumnPredictions,
        {"one person": {"probability_female": [_OF_STEVE["probability_female"]], "outside_training_range": []} | _FROM},
    ),
}

_BODY = (
    errors.NotJsonError,
    errors.BadRequestError,
    errors.TooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.InvalidMeasurementsError,
    errors.InvalidQueryError,
)
_WHICH = (errors.NotFoundError, errors.NotReadyError)


_EXPOSITIONS = ("text/plain", "application/openmetrics-text")


def paths() -> Document:
    """All of them, by their paths."""
    return _prediction_paths() | _registry_paths() | _administration_paths() | _other_paths()


def _prediction_paths() -> Document:
    found: Document = {}
    for suffix, (summary, request, given, kind, answered) in _PREDICTIONS.items():
        name = suffix.removeprefix("/") or "one"
        body = {"required": True, "content": {"application/json": {"schema": ref(request), "examples": named(given)}}}
        told = answer(kind, "The probabilities.", answered, "X-Model-Version", "X-Model-Digest")
        flags = [OBSERVE] if suffix else [EXPLAIN, OBSERVE]
        found[f"/predict{suffix}"] = {
            "post": operation(
                f"predict_{name}",
                "Predict",
                f"{summary}, by the champion",
                told,
                (*_BODY, errors.NotReadyError),
                parameters=flags,
                requestBody=body,
            )
        }
        found[f"/versions/{{name}}/predict{suffix}"] = {
            "post": operation(
                f"predict_{name}_by_version",
                "Predict",
                f"{summary}, by the version that is named",
                told,
                (*_BODY, *_WHICH),
                parameters=[parameter("name"), *flags],
                requestBody=body,
            )
        }
    return found


def _registry_paths() -> Document:
    limit = query("limit", "How many at most.", minimum=1, maximum=1000, default=100)
    before = query("before", "Only versions of lower numbers.", minimum=0, maximum=10**10)
    after = query("after", "The number of the record to begin after.", minimum=0, maximum=10**10, default=0)
    unlisted = (errors.InvalidQueryError, errors.NotReadyError)
    return {
        "/versions": get(
            "list_versions",
            "Registry",
            "The versions, the newest first",
            answer(answers.Versions, "A page of them."),
            unlisted,
            parameters=[before, limit],
        ),
        "/versions/{name}": get(
            "read_version",
            "Registry",
            "The whole manifest of a version",
            answer(answers.VersionManifest, "The manifest."),
            _WHICH,
            parameters=[parameter("name")],
        ),
        "/versions/{name}/report": get(
            "read_report",
            "Registry",
            "The report of a version: its training, its calibration, and whom it serves less well",
            _file("The report.", "text/html"),
            _WHICH,
            parameters=[parameter("name")],
        ),
        "/aliases": get(
            "list_aliases", "Registry", "The aliases and what they point at", answer(answers.Aliases, "The aliases.")
        ),
        "/log": get(
            "read_log",
            "Registry",
            "The records of the log, the oldest first",
            answer(answers.Log, "A page of them."),
            unlisted,
            parameters=[after, limit],
        ),
    }


def _administration_paths() -> Document:
    failures = (
        errors.NotJsonError,
        errors.BadRequestError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.TooLargeError,
        errors.UnsupportedMediaTypeError,
        errors.InvalidChangeError,
        errors.NotReadyError,
        errors.RegistryUnavailableError,
    )

    def change(identifier: str, summary: str, request: str, example: Document, *parameters: Document) -> Document:
        content = {"schema": ref(request), "examples": named({"change": example})}
        body = {"required": True, "content": {"application/json": content}}
        told = answer(answers.Aliases, "The aliases after it.")
        given = {"parameters": [*parameters], "requestBody": body}
        return operation(identifier, "Administration", summary, told, failures, **given)

    why = {"reason": "better on our own people"}
    moved = change("set_alias", "Point an alias at a version", "AliasChange", {"version": 2} | why, ALIAS)
    back = change("roll_back", "Make the previous champion the champion again", "Change", {"expect": 2} | why)
    return {"/aliases/{alias}": {"put": moved}, "/rollback": {"post": back}}


def _other_paths() -> Document:
    asset = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "page.js"}
    return {
        "/livez": get("is_alive", "Health", "Whether it serves at all", answer(answers.Alive, "It does.")),
        "/readyz": get(
            "is_ready",
            "Health",
            "Whether a verified champion is in memory",
            answer(answers.Ready, "It is.", {"ready": {"status": "ready"} | _FROM | {"log_number": 1}}),
            (errors.NotReadyError,),
        ),
        "/metrics": get(
            "read_metrics",
            "Observation",
            "What Prometheus asks for",
            {
                "200": {
                    "description": "The metrics, in the text format, or in OpenMetrics for who accepts it.",
                    "content": {kind: {"schema": {"type": "string"}} for kind in _EXPOSITIONS},
                    "headers": headers(),
                }
            },
        ),
        "/drift": get(
            "read_drift",
            "Observation",
            "Whether the people asked about are like those trained on",
            answer(answers.Drift, "What the last hour or so shows."),
        ),
        "/": get("page", "Pages", "The page", _file("The page.", "text/html")),
        "/static/{name}": get(
            "asset",
            "Pages",
            "What the pages are made of",
            _file("The file.", "text/javascript", "text/css", "image/svg+xml"),
            (errors.NotFoundError,),
            parameters=[asset],
        ),
        "/docs": get("docs", "Pages", "This description, to read", _file("It.", "text/html")),
        "/openapi.json": get(
            "openapi",
            "Pages",
            "This description",
            {
                "200": {
                    "description": "It.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                    "headers": headers(),
                }
            },
        ),
    }


def _file(description: str, *media_types: str) -> Document:
    """What a browser asks for, and asks for anew by its entity tag."""
    bodies = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
    return {
        "200": {"description": description, "content": bodies, "headers": headers("ETag")},
        "304": {"description": "It is still the one of this entity tag.", "headers": headers("ETag")},
    }
