"""The lane in front of Flask: an ASGI application that answers predictions, and hands over everything else.

    POST /predict…, POST /versions/{x}/predict…, as plain JSON  ──► service.prediction
    everything else                                             ──► the Flask application, in threads

Both give the same answer to the same request; the lane only saves what a framework costs. Nothing waits for a client
in a thread: a body is collected first. One person is computed here, on the event loop; a large body in a thread of its
own, one at a time, so that it holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from a2wsgi import WSGIMiddleware

from service import errors
from service.access import Access
from service.app import PREDICTIONS, create_app
from service.browsers import OF_EVERY_ANSWER, Origins
from service.live_models import LiveModels
from service.observation import UNKNOWN_ROUTE, Observer
from service.request_id import request_id
from service.settings import Settings
from service.trace import trace_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping

    from flask import Flask

    from model.registry.version import Version
    from service.prediction import Predict, Prediction

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Headers = list[tuple[bytes, bytes]]

    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

CROWDED = "stature.crowded"
"""The extension of a request's scope by which the server says that it has too many connections."""
_NONE: dict[str, Any] = {}

_LARGE_BODY_BYTES = 16 << 10
"""A few hundred people: half a millisecond."""
_SWITCH_SECONDS = 0.0005
"""How long a thread may compute before another one has its turn; Python's own is 5 ms."""
_KEPT_BYTES = 2 << 20
"""What ten thousand people take, and a little more: so much memory stays at hand when an answer is out."""
_FLASK_THREADS = 8
_PROBES = ("/livez", "/readyz")
_PINNED = re.compile(r"/versions/([^/]+)/predict(/batch|/columns)?")
_JSON = (b"application/json", b"application/json; charset=utf-8")


class _Route(NamedTuple):
    """A route as people write it, what predicts, and the version that is pinned: a number or an alias."""

    template: str
    predict: Predict
    version: str | None = None


class _Asked(NamedTuple):
    """A request for a prediction, its name, and when it came, in seconds of the performance counter."""

    route: _Route
    name: str
    authorization: str | None
    traceparent: str | None
    at: float


class Answer(NamedTuple):
    """A whole answer, but for the headers that the server adds."""

    status: int
    head: bytes
    """A line for each header."""
    body: bytes

    @property
    def headers(self) -> Headers:
        """The same lines as ASGI has them."""
        pairs = (line.split(b": ", 1) for line in self.head.splitlines())
        return [(name, value) for name, value in pairs]


_CHAMPION_ROUTES = {
    f"/predict{suffix}": _Route(f"/predict{suffix}", predict) for suffix, predict in PREDICTIONS.items()
}


class _GoneError(Exception):
    """The client has closed the connection, and nobody waits for an answer."""


class Lane:
    """The ASGI application for these settings, answering with these models, in front of this Flask application."""

    def __init__(self, settings: Settings, live_models: LiveModels, app: Flask) -> None:
        self._settings = settings
        self._access = Access.of(settings)
        self._live_models = live_models
        self._observer = Observer(settings, live_models)
        self._flask = WSGIMiddleware(app.wsgi_app, workers=_FLASK_THREADS)  # type: ignore[arg-type]
        # Whatever the other threads wait for, a registry perhaps, a probe is answered.
        self._probes = WSGIMiddleware(app.wsgi_app, workers=1)  # type: ignore[arg-type]
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-prediction")
        self._small_bytes = min(_LARGE_BODY_BYTES, settings.maximum_body_bytes)
        self._kept = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] in _PROBES:
            await self._probes(_for_wsgi(scope), _given(b""), send)  # type: ignore[arg-type]
        elif CROWDED in scope.get("extensions", _NONE):
            await self._refuse(scope, send)
        else:
            try:  # noqa: SIM105 - `suppress` would cost every request a context manager
                await self._answer(scope, receive, send)
            except _GoneError:
                pass

    def answer_at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer to a request that is all there, without a task of its own.

        It is what a call would send. None where the request is no ordinary prediction, or has something to wait for:
        then it has to be called, and nothing was counted.
        """
        asked = _asked(scope)
        if asked is None or len(body) > self._small_bytes:
            return None
        version = None
        try:
            self._access.check(asked.authorization, "predict")
            name = asked.route.version
            version = self._live_models.champion() if name is None else self._live_models.aliased(name)
            if version is None:
                return None
            prediction = self._observer.predict(asked.route.predict, body, version, self._settings.maximum_people)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a problem
            return self._problem(asked, error, version)
        return self._answered(asked, prediction, version)

    def refused(self, error: errors.ServiceError) -> Answer:
        return refused(error, self._observer)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A prediction here, and everything else, as well as whatever is unusual about a prediction, in Flask."""
        asked = _asked(scope)
        if asked is not None:
            await _send(send, await self._predict(asked, receive))
        else:
            try:
                with self._keeping():
                    body = bytearray()
                    await self._receive(body, receive, self._settings.maximum_body_bytes)
                    await self._flask(_for_wsgi(scope), _given(bytes(body)), send)  # type: ignore[arg-type]
            except errors.OverloadedError:
                await self._refuse(scope, send)

    async def _predict(self, asked: _Asked, receive: Receive) -> Answer:
        """The answer to a request for a prediction."""
        version = None
        try:
            self._access.check(asked.authorization, "predict")
            name = asked.route.version
            version = self._live_models.champion() if name is None else await self._pinned(name)
            prediction = await self._predict_in_pieces(await receive(), receive, asked.route.predict, version)
        except _GoneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a problem
            return self._problem(asked, error, version)
        return self._answered(asked, prediction, version)

    def _answered(self, asked: _Asked, prediction: Prediction, version: Version) -> Answer:
        self._finished(asked, 200, version)
        manifest = version.manifest
        head = _head(manifest.number, manifest.digest, len(prediction.body), asked.name)
        return Answer(200, head + _traced(asked.traceparent), prediction.body)

    def _problem(self, asked: _Asked, error: Exception, version: Version | None) -> Answer:
        known = errors.told(error, asked.name, asked.route.template)
        self._finished(asked, known.status, version)
        return _refusal(known, asked.name, _traced(asked.traceparent))

    def _finished(self, asked: _Asked, status: int, version: Version | None) -> None:
        """Remember the request."""
        number = None if version is None else version.manifest.number
        trace, seconds = trace_id(asked.traceparent), time.perf_counter() - asked.at
        self._observer.finished(asked.route.template, status, seconds, number, asked.name, trace)

    async def _pinned(self, name: str) -> Version:
        version = self._live_models.aliased(name)
        if version is None:  # it may have to be loaded
            version = await asyncio.get_running_loop().run_in_executor(None, self._live_models.pinned, name)
        return version

    async def _predict_in_pieces(
        self, message: Message, receive: Receive, predict: Predict, version: Version
    ) -> Prediction:
        """From a body that did not come in one message, or is large. A small one waits for its end without counting."""
        body, most = bytearray(message.get("body", b"")), self._settings.maximum_people
        whole = not message.get("more_body", False)
        whole = whole or await self._receive(body, receive, self._small_bytes)
        if message["type"] == "http.disconnect":
            raise _GoneError
        if whole and len(body) <= self._small_bytes:
            return self._observer.predict(predict, bytes(body), version, most)
        with self._keeping():
            if not whole:
                await self._receive(body, receive, self._settings.maximum_body_bytes)
            if len(body) > self._settings.maximum_body_bytes:
                raise errors.TooLargeError(self._settings.maximum_body_bytes)
            return await asyncio.get_running_loop().run_in_executor(
                self._large, self._observer.predict, predict, bytes(body), version, most
            )

    async def _receive(self, body: bytearray, receive: Receive, most_bytes: int) -> bool:
        """Whether the body has come to its end; it has not where it goes on beyond so many bytes. _GoneError."""
        more = True
        while more and len(body) <= most_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return not more

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """Count a request that is kept in memory or waits for a thread. OverloadedError where there are too many."""
        if self._kept >= self._settings.maximum_requests:
            raise errors.OverloadedError
        self._kept += 1
        try:
            yield
        finally:
            self._kept -= 1

    async def _refuse(self, scope: Scope, send: Send) -> None:
        route = _CHAMPION_ROUTES.get(scope["path"]) or _pinned_route(scope)
        self._observer.turned_away(UNKNOWN_ROUTE if route is None else route.template)
        closed = b"connection: close\r\n" if CROWDED in scope.get("extensions", _NONE) else b""
        await _send(send, _refusal(errors.OverloadedError(), request_id(_told(scope["headers"])[1]), closed))


class WithOrigins:
    """The lane for pages of these origins too. What Flask answers says so already."""

    def __init__(self, lane: Lane, origins: Origins) -> None:
        self._lane = lane
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._told(scope)]

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and headers[0] not in message["headers"]:
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._lane(scope, receive, tell)

    def answer_at_once(self, scope: Scope, body: bytes) -> Answer | None:
        answer = self._lane.answer_at_once(scope, body)
        return answer and answer._replace(head=answer.head + _lines(self._told(scope)))

    def refused(self, error: errors.ServiceError) -> Answer:
        return self._lane.refused(error)

    def _told(self, scope: Scope) -> Iterable[tuple[str, str]]:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        return self._origins.of_answer(",".join(given)).items()


def from_environment() -> Lane | WithOrigins:
    """What gunicorn calls in each worker: settings, registry, the watcher, Flask, the lane."""
    settings = Settings.from_environment(os.environ)
    live_models = LiveModels.following(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # glibc gives memory back as soon as 128 KiB are free, and the kernel clears it anew for the next body, which took a
    # fifth of its time. Once more was taken and freed in one piece, it keeps twice as much.
    bytearray(_KEPT_BYTES)
    lane = Lane(settings, live_models, create_app(settings, live_models))
    return WithOrigins(lane, Origins(settings.cors_origins)) if settings.cors_origins else lane


def _told(headers: Headers) -> tuple[bytes | None, str | None, str | None, str | None]:
    """Content type, request id, authorization and traceparent. Who says one of them twice has said nothing."""
    content_type = given_id = authorization = traceparent = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value if content_type is None else b""
        elif name == b"x-request-id":
            given_id = value.decode("latin-1") if given_id is None else ""
        elif name == b"authorization":
            authorization = value.decode("latin-1") if authorization is None else ""
        elif name == b"traceparent":
            traceparent = value.decode("latin-1") if traceparent is None else ""
    return content_type, given_id, authorization, traceparent


def _asked(scope: Scope) -> _Asked | None:
    """The request, where it is for a prediction and an ordinary one."""
    at = time.perf_counter()
    route = _CHAMPION_ROUTES.get(scope["path"]) or _pinned_route(scope)
    if route is None or scope["method"] != "POST" or scope["query_string"]:
        return None
    content_type, given_id, authorization, traceparent = _told(scope["headers"])
    if content_type not in _JSON:
        return None
    return _Asked(route, request_id(given_id), authorization, traceparent, at)


def _pinned_route(scope: Scope) -> _Route | None:
    """The route of a prediction by a certain version, where this is one."""
    pinned = _PINNED.fullmatch(scope["path"])
    if pinned is None or b"%" in scope["raw_path"]:  # `%2f` is no slash between names, and Flask knows what it is
        return None
    return _Route("/versions/{name}/predict" + (pinned[2] or ""), PREDICTIONS[pinned[2] or ""], pinned[1])


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as they stand in a head; HTTP does not mind how they are written, and ASGI wants small letters."""
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers).encode()


def _head(number: int, digest: str, length: int, name_of_request: str) -> bytes:
    """The head of an answer of this version."""
    return b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % (
        _identity(number, digest),
        length,
        name_of_request.encode(),
    )


@lru_cache(64)
def _identity(number: int, digest: str) -> bytes:
    """What the head of every answer of a version says."""
    told = {"Content-Type": "application/json", "X-Model-Version": str(number), "X-Model-Digest": digest}
    return _lines((told | OF_EVERY_ANSWER).items())


def _traced(traceparent: str | None) -> bytes:
    """The line that names the trace an answer belongs to, if any."""
    return b"" if trace_id(traceparent) is None else f"traceparent: {traceparent}\r\n".encode()


def refused(error: errors.ServiceError, observer: Observer) -> Answer:
    """The answer to what a server refuses before there is a whole request, counted as any other."""
    name = request_id(None)
    observer.finished(UNKNOWN_ROUTE, error.status, 0.0, None, name, None)
    return _refusal(error, name, b"connection: close\r\n")


def _refusal(error: errors.ServiceError, name_of_request: str, more: bytes) -> Answer:
    """A problem as an answer, with more lines in its head."""
    body = errors.problem(error, name_of_request)
    told = {"Content-Type": errors.CONTENT_TYPE, **error.headers(), **OF_EVERY_ANSWER}
    told |= {"Content-Length": str(len(body)), "X-Request-Id": name_of_request}
    return Answer(error.status, _lines(told.items()) + more, body)


def _for_wsgi(scope: Scope) -> Scope:
    """Without the headers that WSGI cannot tell from others: there, `X_Request_Id` and `X-Request-Id` have one name."""
    return {**scope, "headers": [header for header in scope["headers"] if b"_" not in header[0]]}


def _given(body: bytes) -> Receive:
    """The body of a request that has been received."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
