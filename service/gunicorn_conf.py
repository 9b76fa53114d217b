"""gunicorn's settings. `stature serve` names this file and adds --bind and --workers, which beat what stands here."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import SettingsError
from service.access import Access
from service.settings import Settings

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

    from service.server import Worker

try:
    _settings = Settings.from_environment(os.environ)
    Access.of(_settings)
except SettingsError as error:
    sys.exit(str(error))  # at once, instead of every worker in turn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers share the cores; more threads only cost memory
worker_class: str | type[Worker]
if _settings.lane == "fast":
    import service.server

    worker_class = service.server.Worker
    wsgi_app = "service.lane:from_environment()"
else:
    import service.app

    worker_class = "gthread"
    wsgi_app = "service.app:from_environment()"
# All is imported before the fork, here, so that the workers share it. Nothing is opened before it.

threads = 8  # of Flask's own lane
timeout = 30  # seconds without a sign of life from a worker
graceful_timeout = 20  # seconds for requests in flight, after SIGTERM
keepalive = 5  # seconds
if Path("/dev/shm").is_dir():  # noqa: S108 - heartbeats are written here, and memory never blocks them as a disk can
    worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
accesslog = None  # a path is not worth a line, and a measurement must never get into one

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def when_ready(server: Arbiter) -> None:
    """Before the first fork: what is there now stays, and no collection of garbage shall copy its pages."""
    del server
    gc.collect()
    gc.freeze()
