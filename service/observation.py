"""What is remembered of a request when it is over: counts always, a line in the log where someone would want it.

Both lanes go through here, and what is logged is made of nothing that holds a measurement.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from model.logs import FIELDS
from service.drift import Drift, compare
from service.errors import InvalidMeasurementsError

if TYPE_CHECKING:
    from model.registry.version import Version
    from service.live_models import LiveModels
    from service.prediction import Predict, Prediction
    from service.settings import Settings
    from service.slots import Slot

UNKNOWN_ROUTE = "unknown"
"""The label of every path that leads nowhere, so that a caller cannot make as many labels as there are paths."""
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked all the time, by machines: counted and, unless they fail, not logged."""

_BAD_REQUEST = HTTPStatus.BAD_REQUEST.value  # a look into an enumeration costs more than all else in `finished`
_MOST_LINES_A_SECOND = 10
"""Of requests that failed or were refused. Who sends thousands of them is seen in the metrics, and fills no disk."""

_logger = logging.getLogger("service.requests")


class Observer:
    """One a worker."""

    def __init__(self, settings: Settings, live_models: LiveModels) -> None:
        self._live_models = live_models
        self._metrics = live_models.metrics
        self._logs_all = settings.log_requests == "all"
        self._slow_seconds = settings.slow_seconds
        self._second, self._lines = 0, 0

    def predict(self, predict: Predict, body: bytes, version: Version, maximum_people: int) -> Prediction:
        """Predict, and count who was answered, or who was refused for what was said of them."""
        try:
            prediction = predict(body, version, maximum_people)
        except InvalidMeasurementsError as error:
            self._metrics.refused(error.people, [one.code for one in error.errors])
            raise
        self._metrics.predicted(version.manifest.number, *prediction[1:])
        return prediction

    def finished(  # noqa: PLR0917 - by position it costs less, and it is called for every request
        self, route: str, status: int, seconds: float, version: int | None, request_id: str, trace_id: str | None
    ) -> None:
        """A request has its answer; the route is a `template`."""
        self._metrics.request_finished(route, status, seconds, version)
        if self._logs_all or status >= _BAD_REQUEST or seconds >= self._slow_seconds:
            if not self._is_worth_a_line(route, status):
                return
            fields: dict[str, Any] = {"request_id": request_id, "route": route, "status": status}
            fields["duration_seconds"] = round(seconds, 6)
            if version is not None:
                fields["model_version"] = version
            if trace_id is not None:
                fields["trace_id"] = trace_id
            level = logging.ERROR if status == HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
            _logger.log(level, "request", extra={FIELDS: fields})

    def _is_worth_a_line(self, route: str, status: int) -> bool:
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return True
        if route in QUIET_ROUTES:  # that it is not ready is what a probe is there to ask
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._logs_all or self._lines <= _MOST_LINES_A_SECOND

    def turned_away(self, route: str) -> None:
        """There was no time for a request. It is counted and not logged, which would take time too."""
        self._metrics.request_finished(route, HTTPStatus.SERVICE_UNAVAILABLE, 0.0, None)

    def drift(self) -> Drift:
        """What the window shows, held against the people that the champion was trained on."""
        return self._drift(self._metrics.slots.read())

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """The answer to a scrape, and its media type."""
        from service.exposition import exposition  # noqa: PLC0415 - a service answers before it is scraped

        slots = self._metrics.slots.read()
        return exposition(self._live_models, self._drift(slots), slots, accept)

    def _drift(self, slots: list[Slot]) -> Drift:
        window, champion = self._metrics.window, self._live_models.live.champion
        return compare(window.observed(slots), champion.manifest.inputs if champion else None, window.seconds)


@lru_cache(128)
def template(rule: str) -> str:
    """A rule of Flask's as people write it: `/versions/{name}`."""
    return rule.replace("<", "{").replace(">", "}")
