"""The numbers of a service as a scrape tells them, for tests to hold against their own count."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from end_to_end.running_service import wait_for
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from end_to_end.running_service import RunningService

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Every number, by its name and the values of its labels in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(service: RunningService) -> Samples:
    """What the worker says that happens to be asked. One that was just killed may have taken the connection along."""
    for _ in range(10):
        try:
            return _scrape(service)
        except (ConnectionError, http.client.HTTPException):
            continue
    return _scrape(service)


def _scrape(service: RunningService) -> Samples:
    connection = service.connect()
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        return samples(response.read().decode())
    finally:
        connection.close()


def named(seen: Samples, name: str) -> Samples:
    """The numbers of this name, by the values of their labels."""
    return {key[1:]: value for key, value in seen.items() if key[0] == name}


def gone_back(before: Samples, after: Samples) -> list[tuple[str, ...]]:
    """The counters, and what belongs to histograms, that are smaller than they were, or are gone."""
    counting = ("_total", "_bucket", "_count", "_sum")
    return [key for key, value in before.items() if key[0].endswith(counting) and after.get(key, -1.0) < value]


class Watching:
    """Scrapes all the while, and keeps which counters were ever seen to go back."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.gone_back: list[Any] = []
        self.scrapes = 0

    def _watch(self) -> None:
        before: dict[tuple[str, ...], float] = {}
        while not self._ending.wait(0.02):
            after = scrape(self._service)
            self.gone_back += gone_back(before, after)
            before, self.scrapes = after, self.scrapes + 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


def kill_a_worker(service: RunningService) -> None:
    """As the kernel does when memory is short; then another one has taken its place, and is ready."""
    before = service.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(now := service.workers()) == len(before) and before[0] not in now, service.log.read_text)
    wait_until_ready(service, len(before))


def wait_until_ready(service: RunningService, workers: int) -> None:
    """Until so many workers answer with a champion."""

    def ready() -> bool:
        return (
            sum(version > 0 for version in named(scrape(service), "stature_worker_champion_version").values())
            == workers
        )

    wait_for(ready, service.log.read_text)
