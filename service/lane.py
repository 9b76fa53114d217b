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
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from flask import Flask

    from model.registry.version import Version
    from service.prediction import Predict, Prediction

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Headers = list[tuple[bytes, bytes]]

    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CROWDED = "stature.crowded"
"""The extension of a request's scope by which the server says that it has too many connections."""
ANSWER = "stature.answer"
"""The extension by which the server takes a whole answer of status 200 at once, instead of two messages."""
_NONE: dict[str, Any] = {}

_LARGE_BODY_BYTES = 16 << 10
"""A few hundred people: half a millisecond."""
_SWITCH_SECONDS = 0.0005
"""How long a thread may compute before another one has its turn; Python's own is 5 ms."""
_FLASK_THREADS = 8
_PROBES = ("/livez", "/readyz")
_PINNED = re.compile(r"/versions/([^/]+)/predict(/batch|/columns)?")
_OF_EVERY_ANSWER = [(name.lower().encode(), value.encode()) for name, value in OF_EVERY_ANSWER.items()]
_PROBLEM = [(b"content-type", errors.CONTENT_TYPE.encode())]
_JSON = (b"application/json", b"application/json; charset=utf-8")


class _Route(NamedTuple):
    """A route as Flask writes it, what predicts, and the version that is pinned: a number or an alias."""

    rule: str
    predict: Predict
    version: str | None = None


class _Told(NamedTuple):
    """What the headers of a request say that a prediction asks for. Who says one of them twice has said nothing."""

    content_type: bytes | None
    request_id: str | None
    authorization: str | None
    traceparent: str | None


class _Asked(NamedTuple):
    """A request for a prediction, and when it came, in seconds of the performance counter."""

    route: _Route
    told: _Told
    at: float


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

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A prediction here, and everything else, as well as whatever is unusual about a prediction, in Flask."""
        route = _CHAMPION_ROUTES.get(scope["path"]) or _pinned_route(scope)
        told = _told(scope["headers"])
        plain = scope["method"] == "POST" and told.content_type in _JSON and not scope["query_string"]
        if route is not None and plain:
            await self._predict(_Asked(route, told, time.perf_counter()), scope, receive, send)
        else:
            try:
                with self._keeping():
                    body = bytearray()
                    await self._receive(body, receive, self._settings.maximum_body_bytes)
                    await self._flask(_for_wsgi(scope), _given(bytes(body)), send)  # type: ignore[arg-type]
            except errors.OverloadedError:
                await self._refuse(scope, send)

    async def _predict(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a prediction."""
        route, name, version = asked.route, request_id(asked.told.request_id), None
        try:
            self._access.check(asked.told.authorization, "predict")
            version = self._live_models.champion() if route.version is None else await self._pinned(route.version)
            message = await receive()
            if not message.get("more_body", True) and len(message["body"]) <= self._small_bytes:
                most = self._settings.maximum_people
                prediction = self._observer.predict(route.predict, message["body"], version, most)
            else:
                prediction = await self._predict_in_pieces(message, receive, route.predict, version)
        except _GoneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a problem
            known = errors.told(error, name, route.rule)
            self._finished(asked, name, known.status, version)
            headers = [(key.lower().encode(), value.encode()) for key, value in known.headers().items()]
            headers = [*_PROBLEM, *headers, *_traced(asked.told)]
            await _send(send, known.status, headers, errors.problem(known, name), name)
        else:
            number, digest = version.manifest.number, version.manifest.digest
            self._finished(asked, name, 200, version)
            traced = _traced(asked.told)
            answer = None if traced else scope.get("extensions", _NONE).get(ANSWER)
            if answer is None or not answer(_head(number, digest), name, prediction.body):
                await _send(send, 200, [*_headers(number, digest), *traced], prediction.body, name)

    def _finished(self, asked: _Asked, name: str, status: int, version: Version | None) -> None:
        """Remember the request of this name."""
        number = None if version is None else version.manifest.number
        trace, seconds = trace_id(asked.told.traceparent), time.perf_counter() - asked.at
        self._observer.finished(asked.route.rule, status, seconds, number, name, trace)

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
        self._observer.turned_away(UNKNOWN_ROUTE if route is None else route.rule)
        name_of_request = request_id(_told(scope["headers"]).request_id)
        refused = errors.OverloadedError()
        headers = [*_PROBLEM, *((key.lower().encode(), value.encode()) for key, value in refused.headers().items())]
        if CROWDED in scope.get("extensions", ()):
            headers.append((b"connection", b"close"))
        await _send(send, refused.status, headers, errors.problem(refused, name_of_request), name_of_request)


def with_origins(lane: Lane, origins: Origins) -> Application:
    """The same for pages of these origins too. What Flask answers says so already."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        told = origins.of_answer(",".join(given))
        headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and headers[0] not in message["headers"]:
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        extensions = {name: value for name, value in scope.get("extensions", _NONE).items() if name != ANSWER}
        await lane({**scope, "extensions": extensions}, receive, tell)

    return answer


def from_environment() -> Application:
    """What gunicorn calls in each worker: settings, registry, the watcher, Flask, the lane."""
    settings = Settings.from_environment(os.environ)
    live_models = LiveModels.following(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    lane = Lane(settings, live_models, create_app(settings, live_models))
    return with_origins(lane, Origins(settings.cors_origins)) if settings.cors_origins else lane


def _told(headers: Headers) -> _Told:
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
    return _Told(content_type, given_id, authorization, traceparent)


def _traced(told: _Told) -> Headers:
    """The header of an answer that names the trace it belongs to, if any."""
    if told.traceparent is None or trace_id(told.traceparent) is None:
        return []
    return [(b"traceparent", told.traceparent.encode())]


def _pinned_route(scope: Scope) -> _Route | None:
    """The route of a prediction by a certain version, where this is one."""
    pinned = _PINNED.fullmatch(scope["path"])
    if pinned is None or b"%" in scope["raw_path"]:  # `%2f` is no slash between names, and Flask knows what it is
        return None
    return _Route("/versions/<name>/predict" + (pinned[2] or ""), PREDICTIONS[pinned[2] or ""], pinned[1])


async def _send(send: Send, status: int, headers: Headers, content: bytes, name_of_request: str) -> None:
    headers = [
        *headers,
        *_OF_EVERY_ANSWER,
        (b"content-length", b"%d" % len(content)),
        (b"x-request-id", name_of_request.encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@lru_cache(64)
def _headers(number: int, digest: str) -> Headers:
    """The headers of every answer of a version."""
    return [
        (b"content-type", b"application/json"),
        (b"x-model-version", str(number).encode()),
        (b"x-model-digest", digest.encode()),
    ]


@lru_cache(64)
def _head(number: int, digest: str) -> bytes:
    """The same as they are sent."""
    return b"".join(b"%b: %b\r\n" % header for header in (*_headers(number, digest), *_OF_EVERY_ANSWER))


def _for_wsgi(scope: Scope) -> Scope:
    """Without the headers that WSGI cannot tell from others: there, `X_Request_Id` and `X-Request-Id` have one name."""
    return {**scope, "headers": [header for header in scope["headers"] if b"_" not in header[0]]}


def _given(body: bytes) -> Receive:
    """The body of a request that has been received."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
