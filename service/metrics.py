"""What the service counts of itself: a few additions in memory for each request, and no lines of text.

Every worker counts in its slot, and `service.exposition` tells the sums to Prometheus. A label takes few values: routes
are templates, and of versions only so many are told apart.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.slots import DIRECTORY_VARIABLE, Slots
from service.window import REASONS, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from model.network.network import Array

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PROBABILITIES = tuple(tenths / 10 for tenths in range(1, 11))
PEOPLE = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0)
"""The upper bounds of the buckets; what is above the last one has a bucket too."""

SEPARATOR = "\t"
REQUESTS, PREDICTIONS, BATCHES, REFUSED, WORKER = "requests", "predictions", "batches", "refused", "worker"
"""The blocks in a slot; after the separator, the values of their labels."""

BUCKETS_AND_SUM = 2  # beside the bounds: the bucket above the last one, and the sum of what was observed
STARTS, LOG_NUMBER, CHAMPION, LOOKED_AT, ATTEMPTS, FAILURES = range(6)
"""The numbers in the block of a worker."""

NO_VERSION, OTHER = "none", "other"
_MOST_VERSIONS, _MOST_NAMED_VERSIONS = 50, 100
"""So many versions are told apart; those that an alias named while there was room for them count up to the second."""


class Metrics:
    """The counts of one worker. Every method may be called by any thread."""

    def __init__(
        self, slots: Slots | None = None, window_seconds: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Alone, without slots that are shared."""
        self.slots = slots or Slots()
        self.window = Window(self.slots, window_seconds, clock)
        self.clock = clock
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int, int | None], memoryview[float]] = {}
        self._predictions: dict[int, memoryview[float]] = {}
        self._batches = self.slots.block(BATCHES, len(PEOPLE) + BUCKETS_AND_SUM)
        labels = (key.split(SEPARATOR)[-1] for key in self.slots.keys)
        self._versions = {int(label) for label in labels if label.isdecimal()}
        self._aliased: frozenset[int] = frozenset()
        self._worker = self.slots.block(WORKER, FAILURES + 1)
        self._worker[STARTS] += 1.0
        self._worker[LOG_NUMBER] = self._worker[CHAMPION] = 0.0
        self._worker[LOOKED_AT] = clock()
        for reason in REASONS:  # a counter that is there before its first event shows that event
            self.slots.block(SEPARATOR.join((REFUSED, reason)), 1)

    @classmethod
    def of_worker(cls, window_seconds: float) -> Metrics:
        """Those of a worker: together with the other workers where the server has a place for it, else alone."""
        directory = os.environ.get(DIRECTORY_VARIABLE)
        return cls(Slots(Path(directory) if directory else None), window_seconds)

    def request_finished(self, route: str, status: int, seconds: float, version: int | None) -> None:
        """A request was answered: by this version, if it was a prediction."""
        numbers = self._requests.get((route, status, version))
        with self._lock:
            if numbers is None:
                numbers = self._requests_of(route, status, version)
            numbers[bisect_left(SECONDS, seconds)] += 1.0
            numbers[-1] += seconds

    def predicted(
        self,
        version: int,
        weights_lb: float | Array,
        heights_in: float | Array,
        probabilities: float | Array,
        inside: bool | NDArray[np.bool_],  # noqa: FBT001 - one of the members of a `Prediction`
    ) -> None:
        """These people were answered by this version; `inside` the region of those trained on, or not.

        A float each for one person, an array each for many.
        """
        numbers = self._predictions.get(version)
        with self._lock:
            if numbers is None:
                numbers = self._predictions_of(version)
            if isinstance(probabilities, float):
                numbers[bisect_left(PROBABILITIES, probabilities)] += 1.0
                numbers[-2 if probabilities >= 0.5 else -3] += 1.0  # noqa: PLR2004 - as `likelier` has it
                numbers[-1] += probabilities
                self._batches[0] += 1.0
                self._batches[-1] += 1.0
                self.window.add_one(float(weights_lb), float(heights_in), inside=bool(inside))
            else:
                self._count_many(numbers, probabilities)
                self.window.add_many(np.asarray(weights_lb), np.asarray(heights_in), np.asarray(inside))

    def refused(self, people: int, codes: Iterable[str]) -> None:
        """So many people were refused, for these reasons: the codes of the problems that were told."""
        with self._lock:
            codes = [code if code in REASONS else OTHER for code in codes]
            self.window.add_refused(people, codes)
            for code in codes:
                self.slots.block(SEPARATOR.join((REFUSED, code)), 1)[0] += 1.0

    def followed(self, log_number: int, champion: int | None, aliased: Iterable[int]) -> None:
        """The worker has read the registry's log up to this record, and answers with this version."""
        with self._lock:
            self._worker[LOG_NUMBER] = log_number
            self._worker[CHAMPION] = champion or 0
            self._worker[LOOKED_AT] = self.clock()
            self._aliased = frozenset(aliased)

    def reloaded(self, *, failed: bool) -> None:
        """The worker tried to load what the registry names, or to read its log after it had changed."""
        with self._lock:
            self._worker[ATTEMPTS] += 1.0
            self._worker[FAILURES] += failed

    def _requests_of(self, route: str, status: int, version: int | None) -> memoryview[float]:
        label = NO_VERSION if version is None else self._label(version)
        key = SEPARATOR.join((REQUESTS, route, str(status), label))
        numbers = self.slots.block(key, len(SECONDS) + BUCKETS_AND_SUM)
        if label != OTHER:
            self._requests[route, status, version] = numbers
        return numbers

    def _predictions_of(self, version: int) -> memoryview[float]:
        label = self._label(version)
        # After the buckets come the men, the women and the sum.
        numbers = self.slots.block(SEPARATOR.join((PREDICTIONS, label)), len(PROBABILITIES) + BUCKETS_AND_SUM + 2)
        if label != OTHER:
            self._predictions[version] = numbers
        return numbers

    def _label(self, version: int) -> str:
        room = _MOST_NAMED_VERSIONS if version in self._aliased else _MOST_VERSIONS
        if version not in self._versions and len(self._versions) >= room:
            return OTHER
        self._versions.add(version)
        return str(version)

    def _count_many(self, numbers: memoryview[float], probabilities: Array) -> None:
        counted = np.asarray(numbers)
        buckets = np.searchsorted(PROBABILITIES, probabilities, side="left")
        counted[:-3] += np.bincount(buckets, minlength=len(counted) - 3)
        women = np.count_nonzero(probabilities >= 0.5)  # noqa: PLR2004 - as `likelier` has it
        counted[-3:] += (len(probabilities) - women, women, probabilities.sum())
        self._batches[bisect_left(PEOPLE, len(probabilities))] += 1.0
        self._batches[-1] += len(probabilities)
