"""The proxy's configuration on a real nginx, before replicas that die with every question in their hands."""

from __future__ import annotations

import http.client
import shutil
import socketserver
import subprocess
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import debian
import pytest
from end_to_end.container_engine import ROOT
from end_to_end.running_service import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def dying_replica(asked: list[str]) -> Iterator[int]:
    """The port of a server that reads the first line of every request, and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def proxy(replicas: list[int], folder: Path) -> Iterator[int]:
    """The port of nginx with the shipped configuration, but for its replicas and its folder."""
    debian.install("nginx-light", are_there=lambda: shutil.which("nginx"))
    port = free_port()
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
    servers = " ".join(f"server 127.0.0.1:{replica};" for replica in replicas)
    for old, new in (
        ("/tmp/", f"{folder}/"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("http://replica:8000", "http://replicas"),
        ("    server {", f"    upstream replicas {{ {servers} }}\n    server {{"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
        try:
            wait_for((folder / "nginx.pid").exists)
            yield port
        finally:
            nginx.terminate()


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("GET", "/aliases", 2),
        ("POST", "/predict", 2),
        ("POST", "/versions/1/predict", 2),
        ("PUT", "/aliases/champion", 1),
        ("PUT", "/aliases/predict", 1),
        ("POST", "/rollback", 1),
    ],
)
def test_another_replica_is_asked_unless_it_would_change_something_twice(
    method: str, path: str, times: int, tmp_path: Path
) -> None:
    asked: list[str] = []
    with ExitStack() as stack:
        replicas = [stack.enter_context(dying_replica(asked)) for _ in range(2)]
        port = stack.enter_context(proxy(replicas, tmp_path))
        connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)))
        connection.request(method, path, body=b"{}")
        with connection.getresponse() as response:
            assert response.status == 502

    assert asked == [f"{method} {path} HTTP/1.1"] * times
