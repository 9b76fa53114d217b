"""The reference of the commands says what the commands say."""

from __future__ import annotations

from command_reference import PAGE, with_reference


def test_the_reference_is_that_of_the_commands_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_reference(page), "write it again: make reference"
    assert "### recalibrate\n" in page
