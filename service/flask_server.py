"""The server's side of Flask's own lane: gunicorn's worker with threads, which refuses as all else is refused."""

from __future__ import annotations

import contextlib
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service import errors
from service.lane import refused

if TYPE_CHECKING:
    import socket


class FlaskWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's own
        """gunicorn minds two hosts, and not that there is none."""
        if req.version == (1, 1) and "HOST" not in dict(req.headers):
            raise InvalidHeader("HOST")
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """gunicorn's own shows and logs what it could not read, which may be a body, and so what someone measures."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        error: errors.ServiceError = errors.BadRequestError("the request is not HTTP as it should be")
        if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
            error = errors.HeadTooLargeError(self.cfg.limit_request_line, self.cfg.limit_request_fields)
        answer = refused(error, self.wsgi.extensions["observer"])
        with contextlib.suppress(OSError):  # whoever asked may be gone
            date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
            client.sendall(b"%b%b%b\r\n%b" % (STATUS_LINE[answer.status], date, answer.head, answer.body))
