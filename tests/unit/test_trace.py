"""The header traceparent is taken as W3C Trace Context says, and otherwise as if it were not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.trace import trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "valid", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what"]
)
def test_a_valid_header_names_its_trace(valid: str) -> None:
    assert trace_id(valid) == TRACE


@pytest.mark.parametrize(
    "invalid",
    [
        None,
        "",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-what",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
    ],
)
def test_any_other_is_ignored(invalid: str | None) -> None:
    assert trace_id(invalid) is None


@given(st.text(max_size=80))
def test_whatever_is_sent_a_trace_is_32_hexadecimal_digits_or_none(sent: str) -> None:
    found = trace_id(sent)
    assert found is None or (len(found) == 32 and set(found) <= set("0123456789abcdef"))
