"""A real `stature serve`: started on a free port, waited for, asked over HTTP, ended by SIGTERM."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATURE = Path(sys.executable).with_name("stature")


@dataclass
class RunningService:
    """The process, its port and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(
        self, method: str, path: str, document: object = None, connection: http.client.HTTPConnection | None = None
    ) -> tuple[int, Any]:
        """Status and JSON body, on a connection of its own unless one is given."""
        body = None if document is None else json.dumps(document)
        headers = {} if body is None else {"Content-Type": "application/json"}
        owned = connection is None
        connection = connection or self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            if owned:
                connection.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        return [int(child) for child in _children(self.process.pid)]

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def serve(
    registry: Path | str, log: Path, *arguments: str, ready: bool = True, **environment: str
) -> Iterator[RunningService]:
    """`stature serve` over a registry, for as long as the block lasts; ready when each worker has a champion."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(STATURE), "serve", "--registry", str(registry), "--port", str(port), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
    service = RunningService(process, port, log)
    try:
        wait_for(lambda: _answers(service, "/readyz" if ready else "/livez"), log.read_text)
        if ready and "--workers" in arguments:
            workers = int(arguments[arguments.index("--workers") + 1])
            wait_for(lambda: log.read_text().count("serving version ") >= workers, log.read_text)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], explain: Callable[[], str] = str, seconds: float = 60.0) -> None:
    """Poll until the condition holds; AssertionError with the explanation where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain:\n{explain()}"
        time.sleep(0.01)


def _answers(service: RunningService, path: str) -> bool:
    assert service.process.poll() is None, f"the service ended:\n{service.log.read_text()}"
    try:
        return service.request("GET", path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
