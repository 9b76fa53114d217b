"""The name of a request, in its answer and in the log: the caller's own where it is harmless, a new one otherwise."""

from __future__ import annotations

import random
import re

_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id(given: str | None) -> str:
    """What the header X-Request-Id said, or 32 random hexadecimal digits: an id, not a secret."""
    if given and _HARMLESS.fullmatch(given):
        return given
    return random.randbytes(16).hex()  # noqa: S311 - no secret
