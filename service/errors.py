"""What can go wrong in a request, and how it is told: RFC 9457 problem details, one table, never a stack trace.

    ServiceError
    ├── NotJsonError                400  the bytes are not JSON
    ├── BadRequestError             400  the request is not HTTP as it should be
    ├── NotFoundError               404  no such path, version or alias
    ├── MethodNotAllowedError       405
    ├── TooLargeError               413
    ├── UnsupportedMediaTypeError   415
    ├── InvalidMeasurementsError    422  it is JSON, and not valid: what, where, and what was expected
    ├── InvalidQueryError           422
    └── NotReadyError               503  no verified model is in memory

Whatever else is raised is our own fault: 500, with nothing told but the request's id.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from model.errors import CorruptionError, StorageError
from model.errors import NotFoundError as NotInRegistryError

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTENT_TYPE = "application/problem+json"
_MOST_ERRORS_TOLD = 100


class ServiceError(Exception):
    """Its text is the problem's `detail`; class, title and status belong together."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"


class NotJsonError(ServiceError):
    status, type, title = 400, "not-json", "Not JSON"


class BadRequestError(ServiceError):
    status, type, title = 400, "bad-request", "Bad request"


class NotFoundError(ServiceError):
    status, type, title = 404, "not-found", "Not found"


class MethodNotAllowedError(ServiceError):
    status, type, title = 405, "method-not-allowed", "Method not allowed"


class TooLargeError(ServiceError):
    status, type, title = 413, "too-large", "Too large"


class UnsupportedMediaTypeError(ServiceError):
    status, type, title = 415, "unsupported-media-type", "Unsupported media type"


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong: where (a JSON pointer), which kind, and in words."""

    pointer: str
    code: str
    detail: str


class InvalidMeasurementsError(ServiceError):
    status, type, title = 422, "invalid-measurements", "Invalid measurements"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} error{'s' * (len(errors) > 1)}; nothing was predicted")
        self.errors = errors


class InvalidQueryError(ServiceError):
    status, type, title = 422, "invalid-query", "Invalid query"


class NotReadyError(ServiceError):
    status, type, title = 503, "not-ready", "Not ready"


def as_service_error(error: Exception) -> ServiceError:
    """What a caller may know of any failure."""
    match error:
        case ServiceError():
            return error
        case NotInRegistryError():
            return NotFoundError(str(error))
        case CorruptionError() | StorageError():
            return NotReadyError("the registry does not give this version; its owner finds the reason in the log")
        case _:
            return ServiceError("the service failed; its owner finds this request's id in the log")


def problem(error: ServiceError, request_id: str) -> bytes:
    """The body of the answer."""
    body = {
        "type": f"/problems/{error.type}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "request_id": request_id,
    }
    if isinstance(error, InvalidMeasurementsError):
        body["error_count"] = len(error.errors)
        body["errors"] = [asdict(one) for one in error.errors[:_MOST_ERRORS_TOLD]]
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogateescape")
