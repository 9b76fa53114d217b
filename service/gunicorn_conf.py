"""gunicorn's settings. `stature serve` names this file and adds --bind and --workers, which beat what stands here."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gunicorn.glogging import Logger

from model import logs
from model.errors import SettingsError
from service import slots
from service.access import Access
from service.settings import Settings

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.config import Config
    from gunicorn.workers.base import Worker as AnyWorker

    from service.flask_server import FlaskWorker
    from service.server import Worker


def _read_tokens() -> dict[str, str]:
    """The tokens as they are now, in the variables from which a worker has them. SettingsError."""
    return {"STATURE_TOKENS": "\n".join(token.line for token in Access.of(_settings).tokens), "STATURE_TOKENS_FILE": ""}


try:
    _settings = Settings.from_environment(os.environ)
    _tokens = _read_tokens()
except SettingsError as error:
    sys.exit(str(error))  # at once, instead of every worker in turn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers share the cores; more threads only cost memory
worker_class: type[Worker | FlaskWorker]
if _settings.lane == "fast":
    import service.server

    worker_class = service.server.Worker
    wsgi_app = "service.lane:from_environment()"
else:
    import service.app
    import service.flask_server

    worker_class = service.flask_server.FlaskWorker
    wsgi_app = "service.app:from_environment()"
# All is imported before the fork, here, so that the workers share it. Nothing is opened before it.

threads = 8  # of Flask's own lane
timeout = 30  # seconds without a sign of life from a worker
graceful_timeout = 20  # seconds for requests in flight, after SIGTERM
keepalive = 5  # seconds
if Path("/dev/shm").is_dir():  # noqa: S108 - heartbeats are written here, and memory never blocks them as a disk can
    worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
accesslog = None  # the service logs requests itself, where one is worth a line, and never a measurement

try:
    _handler = logs.handler(as_json=logs.writes_json(os.environ))
except SettingsError as error:
    sys.exit(str(error))
logging.basicConfig(level=logging.INFO, handlers=[_handler])


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801 - gunicorn ships no types; the name of its setting
    """The server's own lines, and those of its worker classes, in the form of all others."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(_handler.formatter)


def _begins_as_its_own() -> None:
    """In a worker that has just been forked, the handlers are the master's still, which would take no notice."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


# The master says once that a worker is to end. One that has only just begun must hear it, too.
_ENDING = (signal.SIGTERM, signal.SIGQUIT)
os.register_at_fork(
    before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, _ENDING),
    after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, _ENDING),
    after_in_child=_begins_as_its_own,
)


def on_reload(server: Arbiter) -> None:
    """SIGHUP, before the new workers. A worker that cannot begin ends the whole service, so none is made to."""
    try:
        _tokens.update(_read_tokens())
    except SettingsError as error:
        server.log.error("%s; the tokens of before stay valid", error)  # noqa: TRY400 - its text says all


def post_fork(server: Arbiter, worker: AnyWorker) -> None:
    """A worker has the tokens that the master read, whatever stands in the file by now."""
    del server, worker
    os.environ.update(_tokens)


def when_ready(server: Arbiter) -> None:
    """Before the first fork: what is there now stays, and no collection of garbage shall copy its pages."""
    del server
    gc.freeze()
    gc.enable()  # `stature serve` puts it off until all is imported, which leaves a few hundred objects of garbage


def on_starting(server: Arbiter) -> None:
    """Before any worker: where they count together. A setting that is mistyped might have closed the service."""
    for variable in Settings.unknown(os.environ):
        server.log.warning("%s is no setting, and is ignored", variable)
    try:
        os.environ[slots.DIRECTORY_VARIABLE] = str(slots.make_directory())
    except OSError as error:
        sys.exit(
            f"there is no place for what the workers count, neither in memory nor in a temporary directory: {error}"
        )


def on_exit(server: Arbiter) -> None:
    """After the last worker."""
    del server
    shutil.rmtree(os.environ[slots.DIRECTORY_VARIABLE], ignore_errors=True)
