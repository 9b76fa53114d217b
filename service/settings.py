"""What the service is told by its environment, read once into one frozen object. An invalid value is fatal, by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from model.errors import SettingsError
from model.registry.manifest import Name

if TYPE_CHECKING:
    from collections.abc import Mapping


_ORIGIN = re.compile(
    r"(http(?!.*:80$)|https(?!.*:443$))://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"  # no port that is usual
)


def _listed(given: Any) -> Any:  # noqa: ANN401 - whatever a setting may be
    """What stands between commas."""
    return tuple(filter(None, (one.strip() for one in given.split(",")))) if isinstance(given, str) else given


def _as_browsers_say(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise PydanticCustomError(
            "origin",
            "{origin} is no origin as a browser says it: scheme, host in small letters and, unless it is the usual "
            "one, port, with nothing behind it, such as https://example.org",
            {"origin": repr(origin)},
        )
    return origin


Origin = Annotated[str, AfterValidator(_as_browsers_say)]


_READ_ELSEWHERE = {"STATURE_LOG", "STATURE_HOST", "STATURE_PORT", "STATURE_WORKERS"}


class Settings(BaseModel):
    """Each field is read from STATURE_ and its name in capitals."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    registry: str = "./registry"
    """A path, or a URL of object storage."""
    model: Name = "gender"
    poll_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 1.0
    """How often each worker asks the registry for a new log record."""
    maximum_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 4 << 20
    """A request with a larger body is refused with 413."""
    maximum_people: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    """A batch of more people is refused with 422."""
    tokens: str = ""
    """Lines as `stature token new` makes them: holder, scopes and SHA-256 of each bearer token."""
    tokens_file: str = ""
    """A file of such lines, read when a worker starts."""
    open_scopes: str | None = None
    """Which of predict and read need no token, with commas between. Where it is not given: both while there is no
    token at all, none as soon as there is one."""
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_listed)] = ()
    """Pages of which other origins may ask, with commas between."""
    log_requests: Literal["problems", "all"] = "problems"
    """Which requests are logged: those that fail, are refused or are slow; or all but probes and scrapes."""
    slow_seconds: Annotated[float, Field(gt=0.0)] = 1.0
    """A request that takes longer is logged."""
    drift_window_seconds: Annotated[float, Field(ge=12.0, le=7 * 86400.0)] = 3600.0
    """Over so much time inputs are compared with those trained on."""
    lane: Literal["fast", "flask"] = "fast"
    """Who answers predictions: the lane in front of Flask, or Flask itself. The settings below hold in the lane."""
    maximum_head_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10
    """A request whose line and headers are longer is refused with 431, and so is one of more than a hundred headers."""
    head_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 10.0
    """A connection whose request has not told its headers by then is closed."""
    body_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 30.0
    """A connection that has not sent the rest of its request, or not taken its answer, by then is closed."""
    maximum_requests: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Where a worker has as many that are large or wait for a thread, more of them are refused with 503."""
    maximum_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Where a worker has more open, all requests are refused with 503 until it has not."""

    @classmethod
    def unknown(cls, environment: Mapping[str, str]) -> list[str]:
        """The variables that look like settings and are none: mistyped, as it may be."""
        known = _READ_ELSEWHERE | {f"STATURE_{name.upper()}" for name in cls.model_fields}
        return sorted(variable for variable in environment if variable.startswith("STATURE_") and variable not in known)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingsError, naming the variable, for a value that cannot be."""
        given = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := f"STATURE_{name.upper()}") in environment
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            name = str(first["loc"][0])
            raise SettingsError(f"STATURE_{name.upper()} is {given[name]!r}: {first['msg']}") from None
