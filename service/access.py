"""Who may do what: a bearer token's scopes against the scope that a route needs.

Where no token is configured, everybody may predict and read, and nobody may move an alias. As soon as one is, every
scope needs a token, but for those that STATURE_OPEN_SCOPES leaves open. Probes are always open.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import SettingsError
from model.tokens import SCOPES, find, parse_tokens
from service.errors import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model.tokens import Token
    from service.settings import Settings

ANONYMOUS = "anonymous"
_OPEN_WITHOUT_TOKENS = frozenset({"predict", "read"})
_MOST_BYTES_OF_A_TOKEN_FILE = 1 << 20


class Access:
    """The tokens that are valid, and the scopes that need none."""

    def __init__(self, tokens: Iterable[Token], open_scopes: frozenset[str]) -> None:
        self.tokens = tuple(tokens)
        self._open_scopes = open_scopes

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """Raises SettingsError for tokens or scopes that cannot be, or a file that cannot be read."""
        found = parse_tokens(settings.tokens, "STATURE_TOKENS")
        if settings.tokens_file:
            path = settings.tokens_file
            in_file = parse_tokens(_read(Path(path)), f"{path} (STATURE_TOKENS_FILE)")
            if not in_file:  # one that was emptied, or not filled yet, must not open the service to everybody
                raise SettingsError(f"STATURE_TOKENS_FILE is {path}: it holds no token")
            found += in_file
        tokens = {token.sha256: token for token in found}.values()
        if settings.open_scopes is None:
            return cls(tokens, frozenset() if tokens else _OPEN_WITHOUT_TOKENS)
        scopes = frozenset(filter(None, (scope.strip() for scope in settings.open_scopes.split(","))))
        if refused := sorted(scopes - _OPEN_WITHOUT_TOKENS):
            raise SettingsError(
                f"STATURE_OPEN_SCOPES has {refused[0]!r}: predict and read can be left open, and nothing else"
            )
        return cls(tokens, scopes)

    def check(self, authorization: str | None, scope: str) -> str:
        """The holder who is asking. UnauthorizedError without a valid token, ForbiddenError for one of other scopes."""
        if scope in self._open_scopes:
            return ANONYMOUS
        if not self.tokens:
            raise ForbiddenError(
                f"this needs a token with the scope {scope}, and this service has none: its owner makes one with "
                f"`stature token new --scope {scope}`",
                scope,
            )
        kind, _, presented = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not presented.strip():
            raise UnauthorizedError(
                f"send a token with the scope {scope}, in the header Authorization: Bearer …", scope
            )
        token = find(self.tokens, presented.strip())
        if token is None:
            raise UnauthorizedError("this token is not, or is no longer, valid", scope, "invalid_token")
        if scope not in token.scopes:
            has = ", ".join(known for known in SCOPES if known in token.scopes)
            raise ForbiddenError(
                f"this needs the scope {scope}, and the token of {token.holder} has {has}", scope, "insufficient_scope"
            )
        return token.holder


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES_OF_A_TOKEN_FILE + 1)
        if len(content) > _MOST_BYTES_OF_A_TOKEN_FILE:
            raise SettingsError(f"STATURE_TOKENS_FILE is {path}: it is larger than a mebibyte, and no file of tokens")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"STATURE_TOKENS_FILE is {path}: {error}") from None
