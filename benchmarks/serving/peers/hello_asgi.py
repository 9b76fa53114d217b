"""The least that an ASGI server can be asked for: one answer, always the same."""

from __future__ import annotations

import os
from typing import Any

BODY = os.environ["BENCHMARK_HELLO"].encode()
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own callables
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        await send(START)
        await send({"type": "http.response.body", "body": BODY})
