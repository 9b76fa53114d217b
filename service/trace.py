"""The trace that a request belongs to: the header traceparent of W3C Trace Context, taken where it is valid."""

from __future__ import annotations

import re

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_MOST_CHARACTERS = 256


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id; None where there is no header, or one that W3C says to ignore.

    A version later than 00 may say more after what is known here.
    """
    if traceparent is None or len(traceparent) > _MOST_CHARACTERS:
        return None
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[1] == "00" and found[3] is not None):
        return None
    return found[2]
