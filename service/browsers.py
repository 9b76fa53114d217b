"""What browsers are told: what a page of ours may do, and which pages of others may ask.

Every answer says that it is what its media type says, is shown in no frame, sends no address on and is not kept; pages
say more. A page of another origin may read an answer only where STATURE_CORS_ORIGINS names that origin. It never
sends credentials of the browser's own: a token is a header that the page must know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of what comes out of the registry, which others may write: it can run nothing and fetch nothing."""
OF_EVERY_ANSWER = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Unless it says otherwise."""

_REQUEST_HEADERS = "Content-Type, Authorization, X-Request-Id, traceparent"
_ANSWER_HEADERS = "X-Request-Id, X-Model-Version, X-Model-Digest, ETag, Retry-After, WWW-Authenticate, traceparent"
_PREFLIGHT_SECONDS = 600


class Origins:
    """The origins whose pages may ask, and what they are told (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

    def __init__(self, named: Iterable[str]) -> None:
        self._named = frozenset(named)

    def __contains__(self, origin: str | None) -> bool:
        return origin in self._named

    def of_answer(self, origin: str | None) -> dict[str, str]:
        """Headers of every answer to a request with this Origin."""
        headers = {"Vary": "Origin"}  # nobody may keep the answer to one origin for another
        if origin in self:
            headers |= {"Access-Control-Allow-Origin": str(origin), "Access-Control-Expose-Headers": _ANSWER_HEADERS}
        return headers

    @staticmethod
    def of_preflight(methods: str) -> dict[str, str]:
        """What stands beside those where a browser asks in advance about a path that has these methods."""
        return {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }
