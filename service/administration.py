"""Moving aliases over HTTP: what `stature promote` and `stature rollback` do, for who has a token of the scope admin.

    PUT  /aliases/{alias}   {"version": 3, "expect": 2, "reason": "…"}
    POST /rollback          {"expect": 3, "reason": "…"}

The registry decides, as it does for the command; its log says which token's holder it was.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from model.errors import ExpectationError, RefusedError, SettingsError, StorageError
from model.registry.log import CHAMPION
from service.errors import ConflictError, FieldError, InvalidChangeError, RegistryUnavailableError
from service.strict_reading import decode_json, escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.log import Expect, Head
    from service.live_models import LiveModels

_MOST_CHARACTERS_OF_A_REASON = 1000
_logger = logging.getLogger(__name__)


def _whole(value: Any) -> Any:  # noqa: ANN401 - anything may have been sent
    """JSON has one kind of number, and bodies are read as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[int, Field(ge=1, lt=10**10), BeforeValidator(_whole)]


class Change(BaseModel):
    """What every change may say: which version must be champion for it to be made, and why it is made."""

    # Built when the first change comes, of which most services see none.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    expect: Number | Literal["none"] | None = None
    reason: Annotated[str, Field(max_length=_MOST_CHARACTERS_OF_A_REASON)] = ""


class AliasChange(Change):
    """The version that an alias is to point at."""

    version: Number


C = TypeVar("C", bound=Change)


def set_alias(live_models: LiveModels, alias: str, body: bytes, by: str) -> Head:
    """Point an alias at a version; `champion` is a promotion."""
    change = _parse(AliasChange, body)
    registry = live_models.registry

    def move(expect: Expect) -> Head:
        if alias == CHAMPION:
            return registry.promote(change.version, by=by, reason=change.reason, expect=expect)
        return registry.set_alias(change.version, alias, by=by, reason=change.reason, expect=expect)

    return _commit(live_models, change, by, move)


def roll_back(live_models: LiveModels, body: bytes, by: str) -> Head:
    """Make the previous champion the champion again."""
    change = _parse(Change, body)

    def move(expect: Expect) -> Head:
        return live_models.registry.rollback(by=by, reason=change.reason, expect=expect)

    return _commit(live_models, change, by, move)


def _commit(live_models: LiveModels, change: Change, by: str, move: Callable[[Expect], Head]) -> Head:
    """Make the change and follow it at once in this worker; the others see it at their next look."""
    try:
        head = move(change.expect)
    except (ExpectationError, RefusedError) as error:
        now = live_models.registry.head()
        raise ConflictError(str(error), log_number=now.number, aliases=now.state.aliases) from None
    except SettingsError as error:
        raise InvalidChangeError([FieldError("#", "alias_name", str(error))]) from None
    except StorageError as error:
        _logger.error("the change by %s was not acknowledged: %s", by, error)  # noqa: TRY400 - its text says all
        raise RegistryUnavailableError(
            "the registry did not acknowledge the change: the aliases tell whether it was made, and the owner of the "
            "service finds the reason in its log"
        ) from None
    live_models.follow()  # whatever comes of it: the change is made
    return head


def _parse(kind: type[C], body: bytes) -> C:
    document = decode_json(body) if body else {}
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise InvalidChangeError(
            [
                FieldError(
                    "#" + "".join(f"/{escaped(str(part)):.200}" for part in one["loc"][:1]), one["type"], one["msg"]
                )
                for one in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None
