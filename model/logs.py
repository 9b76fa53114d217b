"""Log lines: one JSON object each for programs, words for people. Service and training job write them alike.

STATURE_LOG is `json` or `text`; where it says neither, a terminal gets text and everything else JSON.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "STATURE_LOG"
FIELDS = "fields"
"""`logger.info("…", extra={FIELDS: {…}})` gives a line further members."""


class JsonFormatter(logging.Formatter):
    """A line is one object: time, level, logger, message, then what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, logger, message; then what else is known, as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        known = "".join(f" {name}={value}" for name, value in getattr(record, FIELDS, {}).items())
        return super().formatMessage(record) + known


def writes_json(environment: Mapping[str, str]) -> bool:
    """Whether lines are JSON, as it was asked for or as standard error suggests. SettingsError."""
    asked = environment.get(VARIABLE)
    if asked not in (None, "json", "text"):
        raise SettingsError(f"{VARIABLE} is {asked!r}: json or text is expected")
    return asked == "json" or (asked is None and not sys.stderr.isatty())


def handler(*, as_json: bool) -> logging.Handler:
    """What writes to standard error in one of the two forms."""
    writer = logging.StreamHandler()
    writer.setFormatter(JsonFormatter() if as_json else TextFormatter())
    return writer
