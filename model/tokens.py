"""Bearer tokens: who may do what. A token is shown once, when it is made; only its SHA-256 is ever kept.

A line for each, so that several can be valid at once and one can take over from another:

    # holder  scopes        sha256 of the token
    deploy    read,admin    2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae

A token is 32 bytes of the system's randomness. There is nothing in it to be guessed, so a plain hash is enough: the
slow ones protect what people think up themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SCOPES = ("predict", "read", "admin")
"""predict: ask for predictions. read: look into the registry and at the figures. admin: move aliases."""

_PREFIX = "stature_"
"""So that who finds one, or scans for leaked secrets, knows what it is."""
_HOLDER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Token:
    """What is known of a token: who holds it and what it is for, but not the token itself."""

    holder: str
    scopes: frozenset[str]
    sha256: bytes

    @property
    def line(self) -> str:
        """As `parse_tokens` reads it."""
        return f"{self.holder} {','.join(scope for scope in SCOPES if scope in self.scopes)} {self.sha256.hex()}"


def new_token(holder: str, scopes: Collection[str]) -> tuple[str, str]:
    """A new token, and the line to keep of it. SettingsError for a holder or a scope that cannot be."""
    token = _PREFIX + secrets.token_urlsafe(32)
    line = Token(holder, frozenset(scopes), _sha256(token)).line
    if not _HOLDER.fullmatch(holder):
        raise SettingsError(f"{holder!r} cannot name a token's holder: up to 64 letters, digits and ._@- are expected")
    parse_tokens(line, "the new token")
    return token, line


def parse_tokens(text: str, where: str) -> tuple[Token, ...]:
    """The tokens of these lines; empty ones and those after # say nothing. SettingsError, which names the line."""
    tokens: list[Token] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split("#", 1)[0].split()
        if not parts:
            continue
        name = f"line {number} of {where}"
        if len(parts) != len(Token.__dataclass_fields__):
            raise SettingsError(f"{name} has {len(parts)} parts: a holder, scopes and a SHA-256 are expected")
        holder, scopes, digest = parts
        if not _HOLDER.fullmatch(holder):
            raise SettingsError(f"{name} has a holder of other characters than letters, digits and ._@-")
        if unknown := sorted(set(scopes.split(",")) - set(SCOPES)):
            raise SettingsError(f"{name} has the scope {unknown[0]!r}: {', '.join(SCOPES)} are expected")
        if not _SHA256.fullmatch(digest):
            raise SettingsError(
                f"{name} does not end in a SHA-256 of 64 hexadecimal digits: `stature token new` makes such a line. "
                "If it is a token itself, that is now readable by others: make another"
            )
        if any(token.sha256 == bytes.fromhex(digest) for token in tokens):
            raise SettingsError(f"{name} has the same token as a line before it")
        tokens.append(Token(holder, frozenset(scopes.split(",")), bytes.fromhex(digest)))
    return tuple(tokens)


def find(tokens: Iterable[Token], presented: str) -> Token | None:
    """Which of these was presented. Each is compared, in a time that does not depend on where it differs."""
    digest, found = _sha256(presented), None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            found = token
    return found


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
