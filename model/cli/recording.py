"""What a training leaves for machines: lines of JSON on standard error if STATURE_LOG says so, and a file of metrics.

The file is for the node exporter of Prometheus, whose text-file collector reads what jobs leave that end. It is written
whole or not at all, also after a failure; its numbers are those of the last training.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from model.cli import FAILED
from model.errors import SettingsError, StatureError
from model.logs import FIELDS, VARIABLE, handler, writes_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model.training.publication import Outcome

_logger = logging.getLogger("model.training")


class Recording:
    """One training: how it goes, and what came of it."""

    def __init__(self, model: str, *, logs: bool) -> None:
        self.model, self.logs, self.started = model, logs, time.monotonic()
        self.outcome: Outcome | None = None

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def epoch(self, epoch: int, loss: float) -> None:
        """Some epochs are told, as they are on a terminal."""
        self._say(logging.INFO, "epoch", {"epoch": epoch, "loss": loss})

    def finished(self, outcome: Outcome) -> None:
        """It is done; whether or not it was published and promoted."""
        self.outcome = outcome
        published = outcome.version.manifest.number if outcome.version else None
        said = {
            "model_version": published,
            "promoted": outcome.promoted,
            "reason": outcome.verdict.reason,
            "identical_to": outcome.identical_to,
            "log_loss": outcome.evaluation.metrics.log_loss,
            "people": len(outcome.people),
            "duration_seconds": round(self.seconds(), 3),
        }
        self._say(logging.INFO, "trained", said)

    def failed(self, error: Exception) -> None:
        """In the words that a terminal gets too."""
        self._say(logging.ERROR, str(error), {})

    def _say(self, level: int, message: str, fields: Mapping[str, object]) -> None:
        if self.logs:
            _logger.log(level, message, extra={FIELDS: {"model": self.model, **fields}})


@contextlib.contextmanager
def recording(model: str, metrics_file: Path | None) -> Iterator[Recording]:
    """Keeps record of the training in this block. Where lines are JSON, a failure is one too, and ends the program."""
    logs = VARIABLE in os.environ and writes_json(os.environ)
    if logs:
        logging.basicConfig(level=logging.INFO, handlers=[handler(as_json=True)])
    if metrics_file is not None and not os.access(metrics_file.parent, os.W_OK):
        raise SettingsError(f"--metrics-file {metrics_file}: nothing can be written in {metrics_file.parent}")
    record = Recording(model, logs=logs)
    try:
        yield record
    except StatureError as error:
        record.failed(error)
        if logs:
            raise SystemExit(FAILED) from error
        raise
    finally:
        if metrics_file is not None:
            _write(metrics_file, record)


def _write(path: Path, record: Recording) -> None:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile  # noqa: PLC0415

    registry = CollectorRegistry()

    def gauge(name: str, what: str, value: float) -> None:
        Gauge(f"stature_training_{name}", what, ["model"], registry=registry).labels(record.model).set(value)

    outcome = record.outcome
    gauge("success", "1 if the last training came to its end, 0 if it failed.", outcome is not None)
    gauge("end_timestamp_seconds", "When the last training ended.", time.time())
    gauge("duration_seconds", "How long it took.", record.seconds())
    if outcome is not None:
        number = outcome.version.manifest.number if outcome.version else 0
        gauge("published_version", "The version that it published; 0 where it was identical to the champion.", number)
        gauge("promoted", "1 if that version became champion.", outcome.promoted)
        gauge("log_loss", "Its log-loss on the people it was evaluated on.", outcome.evaluation.metrics.log_loss)
        gauge("people", "In the file that it read.", len(outcome.people))
    write_to_textfile(str(path), registry)
