"""The server's side of the lane: a stock gunicorn worker, told to use a stock protocol, with limits.

The protocol counts what it is sent and keeps a deadline; httptools alone parses. Without it uvicorn takes a head of any
length, waits for the rest of it for ever, and keeps an answer for as long as nobody fetches it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn_worker import UvicornWorker

from service import errors
from service.lane import CROWDED
from service.settings import Settings

if TYPE_CHECKING:
    import asyncio

    from service.lane import Answer

_MOST_HEADERS = 100
_LAST_REQUEST_SECONDS = 1.0
"""How long a worker that ends waits for a request on a connection that is open and has none."""
_VERSIONS = ("1.1", "1.0")
_logger = logging.getLogger("uvicorn.error.connections")
"""Of what uvicorn says of single connections. What is wrong with a request has its line already."""
_OF_BODIES = (b"content-length", b"transfer-encoding")


class Worker(UvicornWorker):  # type: ignore[misc]  # gunicorn has no types
    """uvicorn's worker for gunicorn, with what Stature needs of uvicorn and no more."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        self.CONFIG_KWARGS = {
            "loop": "uvloop",
            "http": partial(LimitedProtocol, Settings.from_environment(os.environ)),
            "ws": "none",
            "lifespan": "off",
            # A sign of life every second. By the clock of the day, as uvicorn has it, one that is set back is silence.
            "timeout_notify": -math.inf,
            "interface": "asgi3",
            "proxy_headers": False,
            "server_header": False,
        }
        super().__init__(*arguments, **named)
        _logger.setLevel(logging.ERROR)

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGQUIT, which gunicorn makes of a Ctrl-C, ends a worker as SIGTERM does; as it is, it ends none."""
        del sig, frame
        signal.raise_signal(signal.SIGTERM)


class _Trailers(list[tuple[bytes, bytes]]):
    """What comes after a body in pieces is no header, and is not kept."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        pass


_TRAILERS = _Trailers()


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with a deadline whenever it is the client's turn: to send a head, a body, or to take an answer.

    Where it stands is read off what uvicorn keeps: a scope has a method once its head is whole, and a cycle has
    `more_body` until its body is.
    """

    def __init__(self, settings: Settings, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(**named)
        self.logger = _logger
        self._settings = settings
        self._received_bytes = 0
        """In one piece, and in those before it where the same head is going on."""
        self._in_pieces = False
        self._refusal: errors.ServiceError | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._default_headers: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")
        self._answering: RequestResponseCycle | None = None
        """The request that is being answered; of several in a row, `cycle` is the last."""
        self._is_reading = False
        self._begun: RequestResponseCycle | None = None
        """The request whose head stands in the piece that is being read."""
        self._ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_client(self._settings.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        self._give_up()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        before = self.scope
        self._received_bytes = len(data) + (self._received_bytes if self._in_head() else 0)
        self._is_reading = True
        super().data_received(data)
        self._is_reading = False
        begun, self._begun = self._begun, None
        if begun is not None and not self._answer_at_once(begun):
            super()._start_asgi_task(begun, self.app)
        if self.transport.is_closing():
            return
        if self._in_head() or self.cycle.more_body:
            self._go_on(begun=self.scope is not before)
        elif self._deadline is not None and not self.flow.write_paused:
            # A whole request, as nearly always; the deadline that may be left is for its answer to be taken.
            self._end_deadline()

    def _go_on(self, *, begun: bool) -> None:
        """More of a request is to come; `begun` says that its first byte has only just come."""
        if not self._in_head():
            seconds = self._settings.body_seconds
        else:
            seconds = self._settings.head_seconds
            self._in_pieces = True
            if begun:
                self._received_bytes = 0  # somewhere in this piece, which may hold the end of the request before
            elif self._received_bytes > self._settings.maximum_head_bytes:
                self._refuse(errors.HeadTooLargeError(self._settings.maximum_head_bytes, _MOST_HEADERS))
                return
        if self._deadline is None:
            self._await_client(seconds)

    def on_headers_complete(self) -> None:
        most = self._settings.maximum_head_bytes
        # A head that came in one small piece needs no counting.
        if self._in_pieces or self._received_bytes > most or len(self.headers) > _MOST_HEADERS:
            self._in_pieces = False
            head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head_bytes > most or len(self.headers) > _MOST_HEADERS:
                self._refusal = errors.HeadTooLargeError(most, _MOST_HEADERS)
                raise self._refusal  # which ends the parsing, and leads to send_400_response
        version, hosts = self.parser.get_http_version(), [name for name, _ in self.headers].count(b"host")
        if version not in _VERSIONS or hosts > 1 or (hosts == 0 and version == "1.1"):
            self._refusal = errors.BadRequestError("HTTP/1.1 or HTTP/1.0 is expected, with one Host")
            raise self._refusal
        if self.parser.should_upgrade() and any(name in _OF_BODIES for name, _ in self.headers):
            # The parser stops where another protocol would begin, and would read the body as the next request.
            self._refusal = errors.BadRequestError("a body cannot follow Upgrade: send it in HTTP/1.1 alone")
            raise self._refusal
        if self._deadline is not None and not self.flow.write_paused:
            self._end_deadline()
        if len(self.connections) > self._settings.maximum_connections:
            self.scope["extensions"] = {CROWDED: {}}
        super().on_headers_complete()
        self.headers = _TRAILERS
        if self._ending:
            self.cycle.keep_alive = False  # and the answer says so

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - ASGI's own
        self._answering = cycle
        if self._is_reading:
            self._begun = cycle  # it may be all there when the piece has been read
        else:
            super()._start_asgi_task(cycle, app)

    def _answer_at_once(self, cycle: RequestResponseCycle) -> bool:
        """Answer without a task, which takes a third of a request's time.

        False where something is not as it nearly always is: then nothing was sent, and a task knows what to do.
        """
        if cycle.more_body or not cycle.keep_alive or cycle.disconnected or "extensions" in cycle.scope:
            return False
        if self.flow.write_paused or self.access_log:
            return False
        answer = self.app.answer_at_once(cycle.scope, bytes(cycle.body))
        if answer is None:
            return False
        cycle.response_started = cycle.response_complete = True
        self._write(answer)
        self.on_response_complete()
        del cycle.on_response  # it leads back here
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_client(self._settings.body_seconds)
        elif self._refusal is not None:
            self._refuse(self._refusal)

    def shutdown(self) -> None:
        """The worker ends. uvicorn closes what waits for a request, and loses the one that is on its way.

        Here one more is answered, and told that it is the last, so that the client asks another worker.
        """
        self._ending = True
        if self._is_idle():
            self.loop.call_later(_LAST_REQUEST_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self._in_pieces:
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_client(self._settings.body_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_client(self._settings.body_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_deadline()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says where httptools finds that this is no HTTP; `msg` is its own text."""
        del msg
        self._refuse(self._refusal or errors.BadRequestError("the request is not HTTP as it should be"))

    def _in_head(self) -> bool:
        return self.scope is None or "method" not in self.scope  # type: ignore[redundant-expr]

    def _give_up(self) -> None:
        """Nobody waits for an answer any more."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _await_client(self, seconds: float) -> None:
        self._end_deadline()
        self._deadline = self.loop.call_later(seconds, self._deadline_passed)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _deadline_passed(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or self.flow.write_paused:
            self._give_up()
            self.transport.abort()
        elif self._in_head() and self._answering is not None and not self._answering.response_complete:
            # Requests in a row, and the one before is still being answered: reading may have been paused for it.
            self._await_client(self._settings.head_seconds)
        elif self.scope is None:
            self.transport.close()
        else:
            self._refuse(errors.TooSlowError())

    def _write(self, answer: Answer) -> None:
        if self._default_headers[0] is not self.server_state.default_headers:  # uvicorn renews them every second
            headers = self.server_state.default_headers
            self._default_headers = headers, b"".join(b"%b: %b\r\n" % header for header in headers)
        head = STATUS_LINE[answer.status] + self._default_headers[1] + answer.head
        self.transport.write(b"%b\r\n%b" % (head, answer.body))

    def _refuse(self, error: errors.ServiceError) -> None:
        """Say what is wrong, in its turn and unless an answer has begun, and close the connection."""
        self._refusal = error
        answering = self._answering
        if answering is not None and not answering.response_complete:
            of_its_body = answering is self.cycle and answering.scope is self.scope and answering.more_body
            if not of_its_body:
                return  # what was asked before is answered first
        if answering is None or answering.response_complete or not answering.response_started:
            self._write(self.app.refused(error))
        self._give_up()
        self.transport.close()
        self._await_client(self._settings.body_seconds)
