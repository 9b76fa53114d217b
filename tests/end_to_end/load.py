"""A load of predictions from several clients at once, which notes whatever was not answered as it should be."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from end_to_end.container_engine import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_BODY = json.dumps({"weight_kg": 73, "height_cm": 182})
_WAITING_SECONDS = 60.0


class Load:
    """What was answered so far, and what was not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.answered = 0
        self.versions: set[int] = set()
        self.failures: list[str] = []

    def goes_on(self, answers: int = 200) -> None:
        """Wait for that many answers more."""
        expected = self.answered + answers
        assert eventually(lambda: self.answered >= expected or bool(self.failures), _WAITING_SECONDS)

    def ask(self, *, afresh: bool) -> None:
        """One client, with a connection that is kept as long as the server keeps it, or with a new one each time."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stopping.is_set():
            try:
                connection.request("POST", "/predict", _BODY, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if afresh:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note(f"{type(error).__name__}: {error}")
                continue
            if answer.status == 200:
                self._note_answer(json.loads(content)["model_version"])
            else:
                self._note(f"{answer.status}: {content.decode()}")
        connection.close()

    def stop(self) -> None:
        self._stopping.set()

    def _note(self, failure: str) -> None:
        with self._lock:
            self.failures.append(failure)

    def _note_answer(self, version: int) -> None:
        with self._lock:
            self.answered += 1
            self.versions.add(version)


@contextmanager
def load_on(port: int, clients: int = 4, afresh: int = 0) -> Iterator[Load]:
    """Predictions without a pause for as long as the block lasts; so many of the clients connect for each of theirs."""
    load = Load(port)
    threads = [
        threading.Thread(target=load.ask, kwargs={"afresh": number < afresh}, daemon=True) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        load.goes_on()
        yield load
        load.goes_on()
    finally:
        load.stop()
        for thread in threads:
            thread.join(timeout=20)
