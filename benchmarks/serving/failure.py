"""What keeps a server from being measured; its text goes into the table."""

from __future__ import annotations


class FailureError(Exception):
    """It could not be installed or started, answered wrongly, or failed under the load."""


class WrongAnswerError(FailureError):
    """It answered, and not what numpy computes."""
