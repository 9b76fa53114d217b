"""A proxy on loopback that fails as networks and stores do, at the word of the test that started it.

It stands between obstore and a store. For each request it asks what is to go wrong, and forwards the rest as it came.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_CHUNK_BYTES = 1 << 16
_SLOW_SECONDS = 0.2


class Fault(Enum):
    """What goes wrong with a request."""

    LOST_REPLY = auto()
    """It is carried out, and the connection closes without a word of it."""
    UNAVAILABLE = auto()
    """503, and nothing is carried out."""
    CONFLICT = auto()
    """409, and nothing is carried out."""
    CUT = auto()
    """It is carried out, and the connection closes in the middle of the answer."""
    SLOW = auto()
    """It is carried out, after a while."""


Asked = tuple[str, str]
"""Method and path."""


class FaultyProxy:
    """What went through, and what is to go wrong: `fault_for` is asked before each request."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.fault_for: Callable[[Asked], Fault | None] = lambda _: None
        self.asked: list[Asked] = []
        self.faults: Counter[Fault] = Counter()
        self.relayed_bytes = 0
        """Of answers, to the client."""
        self.port = 0

    def once(self, fault: Fault, method: str, times: int = 1) -> None:
        """The next `times` requests with this method go wrong, and no others."""
        left = iter(range(times))
        self.fault_for = lambda asked: fault if asked[0] == method and next(left, None) is not None else None

    def at_random(self, seed: int, share: float) -> None:
        """This share of all requests goes wrong, each in a way of its own."""
        chance, kinds = random.Random(seed), list(Fault)
        self.fault_for = lambda _: chance.choice(kinds) if chance.random() < share else None


@contextlib.contextmanager
def faulty_proxy(target_port: int) -> Iterator[FaultyProxy]:
    """A proxy to a store's port, in threads of this process, for as long as the block lasts."""
    proxy = FaultyProxy(target_port)

    class Handler(_Handler):
        pass

    Handler.proxy = proxy
    server = _Server(("127.0.0.1", 0), Handler)
    proxy.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle of a request is what is being tried, not an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def setup(self) -> None:
        super().setup()
        self.upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
        super().finish()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        pass

    def relay(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        asked = (self.command, self.path)
        fault = self.proxy.fault_for(asked)
        self.proxy.asked.append(asked)
        if fault is not None:
            self.proxy.faults[fault] += 1
        if fault in (Fault.UNAVAILABLE, Fault.CONFLICT):
            status = 503 if fault is Fault.UNAVAILABLE else 409
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault is Fault.SLOW:
            time.sleep(_SLOW_SECONDS)
        reply = self.forward(body)
        if fault is Fault.LOST_REPLY:
            reply.read()
            self.close_connection = True
            return
        self.answer(reply, cut=fault is Fault.CUT)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = relay  # noqa: N815 - the base class's names

    def forward(self, body: bytes) -> http.client.HTTPResponse:
        # A connection of its own for each request: one that the store has closed meanwhile would be a fault of ours.
        if self.upstream is not None:
            self.upstream.close()
        self.upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.target_port, timeout=60)
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self.upstream.putheader(name, value)
        self.upstream.endheaders(body or None)
        return self.upstream.getresponse()

    def answer(self, reply: http.client.HTTPResponse, *, cut: bool) -> None:
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = reply.getheader("Content-Length")
        if length is None:
            content = reply.read()
            length = str(len(content))
            chunks = iter([content] if content else [])
        else:
            chunks = iter(lambda: reply.read(_CHUNK_BYTES), b"")
        self.send_header("Content-Length", length)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk[: len(chunk) // 2] if cut else chunk)
            self.proxy.relayed_bytes += len(chunk)
            if cut:
                break
        if cut:
            self.close_connection = True
