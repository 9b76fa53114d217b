"""A person at a terminal: what a real process shows on a pseudo-terminal, and gets that is typed there."""

from __future__ import annotations

import contextlib
import os
import pty
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LONGEST_SECONDS = 120.0
"""How long nothing may be shown."""
AS_A_TERMINAL_IS = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


def typed_on_a_terminal(
    *command: str, keys: str, when: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The exit code, minus a signal's number, and what a terminal got on which keys are typed once this is shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder or ".")
        os.execvpe(command[0], command, {**os.environ, **AS_A_TERMINAL_IS, **(environment or {})})
    shown, is_typed = b"", False
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while select.select([terminal], [], [], LONGEST_SECONDS)[0] and (part := os.read(terminal, 1 << 16)):
            shown += part
            if when.encode() in shown and not is_typed:
                is_typed = os.write(terminal, keys.encode()) > 0
    os.close(terminal)  # which ends what still waits there
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode().replace("\r\n", "\n")
