"""The `stature` command. Each command opens the registry, calls one function of this package, and prints what it said.

What takes long to import (numpy, duckdb, rich) is imported by the commands that use it. A flag beats the environment,
the environment beats the default.

group.py      the command as a whole
options.py    what all commands share
progress.py   what is shown while something takes long
serving.py    up, serve, predict
training.py   train
evaluating.py evaluate, recalibrate
outcome.py    what these three say
versions.py   models, show, verify
aliases.py    log, promote, rollback
comparing.py  diff, reproduce
elsewhere.py  export, report
upkeep.py     delete, prune, doctor
tokens.py     token new
completion.py completion
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

DONE, FAILED, NOT_UNDERSTOOD, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = {
    DONE: "done",
    FAILED: (
        "it could not be done, and standard error says why; or `verify` or `doctor` found something wrong, or what "
        "`reproduce` trained is not the same"
    ),
    NOT_UNDERSTOOD: "the command was not understood",
    INTERRUPTED: "Ctrl-C: whatever was begun is there as a whole, or not at all",
}


class _Interrupted(SystemExit):
    """Ctrl-C was pressed."""


def _interrupt(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # so that nothing interrupts the tidying up
    raise _Interrupted(INTERRUPTED)


def main() -> None:
    """The command. Ctrl-C ends it with a line, even while it is still being imported."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from model.cli.group import main as command  # noqa: PLC0415

        command()
    except _Interrupted:
        sys.stderr.write("Interrupted: nothing is left half done.\n")
        raise
