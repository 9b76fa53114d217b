"""What every operation of the description is made of: its answer, its problems, parameters and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model.registry.manifest import NAME as NAME_PATTERN
from model.registry.manifest import NUMERAL
from service import errors

if TYPE_CHECKING:
    from pydantic import BaseModel

Document = dict[str, Any]

_SCHEMAS: dict[type[errors.ServiceError], str] = {
    errors.InvalidMeasurementsError: "InvalidBodyProblem",
    errors.InvalidChangeError: "InvalidBodyProblem",
    errors.ConflictError: "ConflictProblem",
}
"""Of problems that say more than others."""
_SCOPES = {"Predict": "predict", "Registry": "read", "Observation": "read", "Administration": "admin"}
"""What a token must be for, by tag; the others need none."""
_DENIED = (errors.UnauthorizedError, errors.ForbiddenError)
_ALWAYS = (errors.ServiceError, errors.TooSlowError, errors.HeadTooLargeError)


def operation(
    identifier: str,
    tag: str,
    summary: str,
    answer: Document,
    failures: tuple[type[errors.ServiceError], ...] = (),
    **more: Any,  # noqa: ANN401 - further members of the operation
) -> Document:
    """A route's method: what it is called, where it stands, what it answers, and with which problems it may fail."""
    parameters = [*more.pop("parameters", []), parameter("request_id"), parameter("traceparent")]
    # A probe is answered however much else is being asked.
    overload = () if tag == "Health" else (errors.OverloadedError,)
    scope = _SCOPES.get(tag)
    denied = () if scope is None else _DENIED
    responses = answer | _problems((*failures, *_ALWAYS, *overload, *denied))
    # Where no token is configured, what changes nothing needs none.
    security = [] if scope is None else [{"token": [scope]}, *([] if scope == "admin" else [{}])]
    about = {"operationId": identifier, "tags": [tag], "summary": summary, "parameters": parameters}
    return about | more | {"security": security, "responses": responses}


def get(*arguments: Any, **more: Any) -> Document:  # noqa: ANN401 - those of an operation
    return {"get": operation(*arguments, **more)}


def answer(kind: type[BaseModel], description: str, examples: Document | None = None, *also: str) -> Document:
    """The answer of this kind, with examples by name, and headers beside those of every answer."""
    content: Document = {"schema": ref(kind.__name__)}
    if examples:
        content["examples"] = named(examples)
    return {"200": {"description": description, "content": {"application/json": content}, "headers": headers(*also)}}


def _problems(failures: tuple[type[errors.ServiceError], ...]) -> Document:
    """One response a status, with an example of each problem that has it."""
    responses: Document = {}
    for status in sorted({failure.status for failure in failures}):
        these = [failure for failure in failures if failure.status == status]
        schemas = sorted({_SCHEMAS.get(failure, "Problem") for failure in these})
        content = {
            "schema": ref(schemas[0]) if len(schemas) == 1 else {"anyOf": [ref(schema) for schema in schemas]},
            "examples": {failure.type: {"value": _problem(failure)} for failure in these},
        }
        responses[str(status)] = {
            "description": " or ".join(failure.title for failure in these),
            "content": {errors.CONTENT_TYPE: content},
            "headers": headers(
                *["Retry-After"] * (errors.OverloadedError in these),
                *["WWW-Authenticate"] * any(failure in _DENIED for failure in these),
            ),
        }
    return responses


def _problem(failure: type[errors.ServiceError]) -> Document:
    about = {"type": f"/problems/{failure.type}", "title": failure.title, "status": failure.status}
    about |= {"detail": "…", "request_id": "0b1d5c4e"}
    if failure is errors.ConflictError:
        return about | {"log_number": 3, "aliases": {"champion": 2, "previous": 1}}
    if failure not in _SCHEMAS:
        return about
    wrong = {"pointer": "#/height_cm", "code": "swapped_measurements", "detail": "182 kg and 73 cm look swapped"}
    if failure is errors.InvalidChangeError:
        wrong = {"pointer": "#/version", "code": "missing", "detail": "Field required"}
    return about | {"error_count": 1, "errors": [wrong]}


def ref(name: str, kind: str = "schemas") -> Document:
    """A reference to what stands once, among the components."""
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(name: str) -> Document:
    return ref(name, "parameters")


def named(examples: Document) -> Document:
    return {name.replace(" ", "-"): {"value": value} for name, value in examples.items()}


def headers(*names: str) -> Document:
    return {name: ref(name, "headers") for name in ("X-Request-Id", "traceparent", *names)}


def query(name: str, description: str, **limits: int) -> Document:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "integer", **limits}}


def _in_path(name: str, description: str, pattern: str, example: str) -> Document:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


NAME = _in_path(
    "name",
    "The number of a version, or an alias such as `champion`.",
    f"({NUMERAL}|{NAME_PATTERN})",
    "champion",
)
ALIAS = _in_path("alias", "`champion`, or a name of your own.", NAME_PATTERN, "challenger")
REQUEST_ID: Document = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "A name of your own for this request: up to 128 letters, digits and `._-`. Any other is not used.",
    "schema": {"type": "string"},
}
TRACEPARENT: Document = {
    "name": "traceparent",
    "in": "header",
    "description": "The trace that this request belongs to (W3C Trace Context). One that is not valid is not used.",
    "schema": {"type": "string"},
    "example": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
EXPLAIN: Document = {
    "name": "explain",
    "in": "query",
    "description": "Whether to tell how far each measurement moved the probability from that of the average person.",
    "schema": {"type": "boolean", "default": False},
}
OBSERVE: Document = {
    "name": "observe",
    "in": "query",
    "description": "Whether `/metrics` and `/drift` count these people: false for what is only tried out, or drawn.",
    "schema": {"type": "boolean", "default": True},
}
HEADERS: Document = {
    "X-Request-Id": {
        "description": "The request's name, yours or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "traceparent": {
        "description": "That of the request, where it has a valid one.",
        "schema": {"type": "string"},
    },
    "X-Model-Version": {
        "description": "The version that answered.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Model-Digest": {
        "description": "The SHA-256 of all that its probabilities are computed from.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "ETag": {
        "description": "The entity tag: ask with it in If-None-Match, and 304 says that nothing has changed.",
        "required": True,
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "Which scope a bearer token must have (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "After how many seconds to ask again.", "schema": {"type": "integer"}},
}
