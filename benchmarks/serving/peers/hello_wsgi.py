"""The least that a WSGI server can be asked for: one answer, always the same."""

from __future__ import annotations

import os
from typing import Any

BODY = os.environ["BENCHMARK_HELLO"].encode()


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - WSGI's own callable
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]
