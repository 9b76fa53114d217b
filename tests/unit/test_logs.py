"""Log lines: JSON that every reader of lines can take apart, whatever is in a message; text for a terminal."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import SettingsError
from model.logs import FIELDS, JsonFormatter, TextFormatter, writes_json


def record(message: str, *arguments: object, fields: dict | None = None, error: bool = False) -> logging.LogRecord:
    made = logging.LogRecord("some.logger", logging.WARNING, "file", 1, message, arguments, None)
    if error:
        made.exc_info = (ValueError, ValueError("on\ntwo lines"), None)
    if fields is not None:
        setattr(made, FIELDS, fields)
    return made


@given(st.text(), st.dictionaries(st.text(st.characters(categories=["L"]), min_size=9), st.text() | st.floats(0, 1)))
def test_a_json_line_is_one_line_and_one_object_whatever_is_said(message: str, fields: dict) -> None:
    line = JsonFormatter().format(record("%s", message, fields=fields))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("warning", "some.logger", message)
    assert read.items() >= fields.items()
    assert read["time"].endswith("+00:00")


def test_a_stack_is_a_member_of_the_line_and_not_more_lines() -> None:
    line = JsonFormatter().format(record("it failed", error=True))
    assert "\n" not in line
    assert json.loads(line)["stack"].endswith("ValueError: on\ntwo lines")


def test_text_is_for_people() -> None:
    text = TextFormatter().format(record("request", fields={"route": "/predict", "status": 422}))
    assert text.endswith(" WARNING some.logger request route=/predict status=422")


def test_the_form_is_as_asked_for_or_as_the_terminal_suggests(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        monkeypatch.setattr(sys, "stderr", type("Terminal", (), {"isatty": lambda self, is_one=terminal: is_one})())
        assert writes_json({}) is not terminal
        assert writes_json({"STATURE_LOG": "json"})
        assert not writes_json({"STATURE_LOG": "text"})
    with pytest.raises(SettingsError, match="STATURE_LOG is 'yes': json or text is expected"):
        writes_json({"STATURE_LOG": "yes"})
