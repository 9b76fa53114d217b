"""What can go wrong in a request, and how it is told: RFC 9457 problem details, one table, never a stack trace.

    ServiceError
    ├── NotJsonError                400  the bytes are not JSON
    ├── BadRequestError             400  the request is not HTTP as it should be
    ├── UnauthorizedError           401  a valid token is needed
    ├── ForbiddenError              403  the token is for something else, or nobody may do this here
    ├── NotFoundError               404  no such path, version or alias
    ├── MethodNotAllowedError       405
    ├── TooSlowError                408  the rest of the request has not come in time
    ├── ConflictError               409  what was expected does not hold, or the registry's rules forbid it
    ├── TooLargeError               413
    ├── UnsupportedMediaTypeError   415
    ├── InvalidMeasurementsError    422  it is JSON, and not valid: what, where, and what was expected
    ├── InvalidChangeError          422  the same, of a change to an alias
    ├── InvalidQueryError           422
    ├── HeadTooLargeError           431
    ├── NotReadyError               503  no verified model is in memory
    ├── OverloadedError             503  more is being asked than can be answered in good time
    └── RegistryUnavailableError    503  the registry cannot be written

Whatever else is raised is our own fault: 500, with nothing told but the request's id.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from model.errors import CorruptionError, StorageError
from model.errors import NotFoundError as NotInRegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE = "application/problem+json"
_NO_DIGITS = re.compile(r"[^0-9]+")
_MOST_ERRORS_TOLD = 100
_logger = logging.getLogger(__name__)

CODES = (
    "missing",
    "unknown_field",
    "not_a_number",
    "not_finite",
    "not_an_object",
    "not_a_list",
    "not_unicode",
    "swapped_measurements",
    "looks_like_pounds",
    "looks_like_kilograms",
    "looks_like_inches",
    "looks_like_centimetres",
    "weight_outside_domain",
    "height_outside_domain",
    "unequal_lengths",
    "too_many_people",
)
"""Every kind of thing that can be wrong with measurements, as `FieldError.code` has it."""


class ServiceError(Exception):
    """Its text is the problem's `detail`; class, title and status belong together."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def headers(self) -> dict[str, str]:
        """What the answer's head must say of it."""
        return {}

    def members(self) -> dict[str, Any]:
        """What the problem's body says beyond what every problem says."""
        return {}


class NotJsonError(ServiceError):
    status, type, title = 400, "not-json", "Not JSON"


class BadRequestError(ServiceError):
    status, type, title = 400, "bad-request", "Bad request"


class _DeniedError(ServiceError):
    """Which scope a token must have and, where there was one, what is wrong with it (RFC 6750, section 3)."""

    def __init__(self, detail: str, scope: str, wrong: str = "") -> None:
        super().__init__(detail)
        self._challenge = f'Bearer realm="stature", scope="{scope}"' + (f', error="{wrong}"' if wrong else "")

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": self._challenge}


class UnauthorizedError(_DeniedError):
    status, type, title = 401, "unauthorized", "Unauthorized"


class ForbiddenError(_DeniedError):
    status, type, title = 403, "forbidden", "Forbidden"


class NotFoundError(ServiceError):
    status, type, title = 404, "not-found", "Not found"


class MethodNotAllowedError(ServiceError):
    status, type, title = 405, "method-not-allowed", "Method not allowed"


class ConflictError(ServiceError):
    """`log_number` and `aliases` say how things stand."""

    status, type, title = 409, "conflict", "Conflict"

    def __init__(self, detail: str, *, log_number: int, aliases: Mapping[str, int]) -> None:
        super().__init__(detail)
        self._state = {"log_number": log_number, "aliases": dict(sorted(aliases.items()))}

    def members(self) -> dict[str, Any]:
        return self._state


class TooLargeError(ServiceError):
    status, type, title = 413, "too-large", "Too large"

    def __init__(self, maximum_body_bytes: int) -> None:
        super().__init__(f"the body may have {maximum_body_bytes:,} bytes at most")


class HeadTooLargeError(ServiceError):
    status, type, title = 431, "head-too-large", "Head too large"

    def __init__(self, maximum_bytes: int, maximum_headers: int) -> None:
        super().__init__(f"the headers may have {maximum_bytes:,} bytes at most, and be {maximum_headers} at most")


class TooSlowError(ServiceError):
    status, type, title = 408, "too-slow", "Too slow"

    def __init__(self) -> None:
        super().__init__("the rest of the request has not come in time")


class UnsupportedMediaTypeError(ServiceError):
    status, type, title = 415, "unsupported-media-type", "Unsupported media type"


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong: where (a JSON pointer), which kind, and in words."""

    pointer: str
    code: str
    detail: str


class _InvalidBodyError(ServiceError):
    """It is JSON, and not valid; all that is wrong is told, or the first of it."""

    status, nothing = 422, "nothing was done"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} error{'s' * (len(errors) > 1)}; {self.nothing}")
        self.errors = errors

    def members(self) -> dict[str, Any]:
        return {"error_count": len(self.errors), "errors": [asdict(one) for one in self.errors[:_MOST_ERRORS_TOLD]]}


class InvalidMeasurementsError(_InvalidBodyError):
    type, title, nothing = "invalid-measurements", "Invalid measurements", "nothing was predicted"

    @property
    def people(self) -> int:
        """How many people something is wrong with: in a batch, each has a number, and it is in the pointers."""
        return len({_NO_DIGITS.sub("", error.pointer) for error in self.errors})


class InvalidChangeError(_InvalidBodyError):
    type, title, nothing = "invalid-change", "Invalid change", "nothing was changed"


class InvalidQueryError(ServiceError):
    status, type, title = 422, "invalid-query", "Invalid query"


class NotReadyError(ServiceError):
    status, type, title = 503, "not-ready", "Not ready"


class RegistryUnavailableError(ServiceError):
    status, type, title = 503, "registry-unavailable", "Registry unavailable"


class OverloadedError(ServiceError):
    status, type, title = 503, "overloaded", "Overloaded"

    def __init__(self) -> None:
        super().__init__("more is asked of this service than it can answer in good time; ask again a little later")

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}


def told(error: Exception, request_id: str, route: object) -> ServiceError:
    """What is told of a failure. What is our own fault is logged too, with the request's id and the stack."""
    known = as_service_error(error)
    if known.status == 500 or (known is not error and known.status == 503):  # noqa: PLR2004 - HTTP's own numbers
        _logger.error("request %s to %s failed", request_id, route, exc_info=error)
    return known


def as_service_error(error: Exception) -> ServiceError:
    """What a caller may know of any failure."""
    match error:
        case ServiceError():
            return error
        case NotInRegistryError():
            return NotFoundError(str(error))
        case CorruptionError() | StorageError():
            return NotReadyError("the registry does not give what is asked for; its owner finds the reason in the log")
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
        **error.members(),
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogateescape")
