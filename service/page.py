"""The page at `/`, and what it is made of: plain files of this host, under a policy that lets nothing else in."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Response, request

from service.browsers import PAGE_POLICY
from service.errors import NotFoundError

if TYPE_CHECKING:
    from flask import Flask

_FOLDER = Path(__file__).with_name("static")
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def add_page(app: Flask) -> None:
    """GET / and GET /static/{name}. The files are few and small, and are held in memory."""
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}
    index = files.pop("index.html")

    @app.get("/")
    def page() -> Response:
        return as_page(index, ".html")

    @app.get("/static/<name>")
    def asset(name: str) -> Response:
        if name not in files:
            raise NotFoundError("there is nothing at this path")
        return as_page(files[name], Path(name).suffix)


def as_page(content: bytes, suffix: str, policy: str = PAGE_POLICY, *, lasting: bool = False) -> Response:
    """For a browser, which asks anew each time and is mostly answered by 304; or never again, where it is for good."""
    response = Response(content, mimetype=_MEDIA_TYPES[suffix])
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable" if lasting else "private, no-cache"
    response.set_etag(sha256(content).hexdigest())
    response.make_conditional(request)
    del response.headers["Date"]  # which the server tells
    return response
