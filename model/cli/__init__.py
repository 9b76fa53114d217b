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

import os
import signal
import sys
from typing import NoReturn

DONE, FAILED, NOT_UNDERSTOOD, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = {
    DONE: "done",
    FAILED: (
        "it could not be done, and standard error says why, unless nobody was left to read; or `verify` or `doctor` "
        "found something wrong, or what `reproduce` trained is not the same"
    ),
    NOT_UNDERSTOOD: "the command was not understood",
    INTERRUPTED: (
        "what a shell says after Ctrl-C: the process dies by the signal, so that a loop around it ends; whatever was "
        "begun is there as a whole, or not at all"
    ),
}


def main() -> None:
    """The command. Ctrl-C ends it with a line, even while it is still being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background of a script it is ignored
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)
        sys.unraisablehook = _again
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started it has closed it, as >&- does
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - as long as the process lasts
    try:
        from model.cli.group import main as command  # noqa: PLC0415

        command()
    except BaseException as error:
        # What is interrupted may answer with an error of its own, as DuckDB does.
        if not _interrupts or (isinstance(error, SystemExit) and not error.code):
            raise
        # Python ends by SIGINT itself, once all is cleaned up: so a shell learns that a loop is to end too.
        sys.excepthook = _say_interrupted
        raise KeyboardInterrupt from None
    finally:
        # All is done but to end. Who has been interrupted already may be ended at once; no one else shall lose output.
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGINT, signal.SIG_DFL if _interrupts else signal.SIG_IGN)


_interrupts: list[int] = []
"""The signals that have interrupted this process."""


def _interrupt(number: int, _frame: object) -> NoReturn:
    _interrupts.append(number)
    raise SystemExit(INTERRUPTED)  # which click lets through


def _say_interrupted(*_error: object) -> None:
    sys.stderr.write("Interrupted: nothing is left half done.\n")


def _again(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that came where nothing can be raised, as in a weak reference's callback, comes again at once."""
    if _interrupts and isinstance(unraisable.exc_value, SystemExit):
        signal.setitimer(signal.ITIMER_REAL, 0.001)
    else:
        sys.__unraisablehook__(unraisable)
