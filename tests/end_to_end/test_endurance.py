"""A million requests and ten thousand promotions: every answer right, and nothing grows."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.running_service import RunningService, serve, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.registry import Registry

REQUESTS, PROMOTIONS = 1_000_000, 10_000
AT_ONCE = 50
"""Requests sent in a row before their answers are read: the client is Python, and must not be what is slow."""
GROWTH_BYTES = 5 << 20
"""What the allocator may keep of what is free, which is up to four mebibytes; five bytes a request would be more."""
GROWTH_FILES = 8
"""A connection that is closing, a file that the watcher reads; what leaked would do so thousands of times."""
STEVE = b'{"weight_kg": 73, "height_cm": 182}'
REQUEST = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def ask(service: RunningService, requests: int, bodies: list[bytes]) -> dict[bytes, int]:
    """Send so many requests on one connection; how often each of these bodies was the answer to one of them."""
    block = REQUEST % (len(STEVE), STEVE) * AT_ONCE
    counts = dict.fromkeys(bodies, 0)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        for _ in range(requests // AT_ONCE):
            connection.sendall(block)
            received = b""
            while received.count(b'"model_version": ') < AT_ONCE or not received.endswith(b"}"):
                part = connection.recv(1 << 16)
                assert part, "the service closed the connection"
                received += part
            assert received.count(b"HTTP/1.1 200 OK\r\n") == AT_ONCE
            found = {body: received.count(b"\r\n\r\n" + body) for body in bodies}
            assert sum(found.values()) == AT_ONCE, received
            for body, count in found.items():
                counts[body] += count
    return counts


def memory_bytes(process: int) -> int:
    """What of its memory is resident, whether or not its parent still shares it."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Rss:"))


def open_files(process: int) -> int:
    """But for those that the watcher has just opened, and is about to close."""
    return min(len(list(Path(f"/proc/{process}/fd").iterdir())) for _ in range(50))


@pytest.mark.slow
def test_a_million_requests_and_ten_thousand_promotions_leave_nothing_behind(
    trained: Registry, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    versions = [trained.load(number) for number in (1, 2)]
    bodies = [
        json.dumps(version.predict(73 / 0.45359237, 182 / 2.54) | version.identity).encode() for version in versions
    ]
    with serve(trained.storage.root, tmp_path / "log", "--workers", "1", STATURE_POLL_SECONDS="0.001") as service:
        (worker,) = service.workers()

        def promote(times: int) -> None:
            for turn in range(times):
                trained.promote(2 - turn % 2, by="a test")

        # What is allocated once, for good, is allocated now.
        promote(200)
        ask(service, 100_000, bodies)
        before = memory_bytes(worker), open_files(worker)

        promoting = threading.Thread(target=promote, args=(PROMOTIONS,))
        promoting.start()
        counts = ask(service, REQUESTS, bodies)
        promoting.join()

        last = trained.head()
        wait_for(lambda: service.request("GET", "/readyz")[1]["log_number"] == last.number)
        ask(service, 10_000, bodies)
        after = memory_bytes(worker), open_files(worker)
    record_property("answers, every one right", sum(counts.values()))
    record_property("promotions", PROMOTIONS)
    print(f"{sum(counts.values()):,} answers, {counts[bodies[0]]:,} of version 1, {counts[bodies[1]]:,} of version 2;")
    print(f"{PROMOTIONS:,} promotions; bytes and open files before {before}, after {after}")
    assert last.number == PROMOTIONS + 200 + 1
    assert sum(counts.values()) == REQUESTS
    assert min(counts.values()) > REQUESTS // 10
    assert after[0] - before[0] < GROWTH_BYTES
    assert after[1] - before[1] < GROWTH_FILES
