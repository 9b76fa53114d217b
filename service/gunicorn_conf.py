"""gunicorn's settings. `stature serve` names this file and adds --bind and --workers, which beat what stands here."""

from __future__ import annotations

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

worker_class = "gthread"
threads = 8
timeout = 30  # seconds without a sign of life from a worker
graceful_timeout = 20  # seconds for requests in flight, after SIGTERM
keepalive = 5  # seconds
if Path("/dev/shm").is_dir():  # noqa: S108 - heartbeats are written here, and memory never blocks them as a disk can
    worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
accesslog = None  # a path is not worth a line, and a measurement must never get into one

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def on_starting(server: Arbiter) -> None:
    """Before any worker: a setting that cannot be ends the service at once, instead of every worker in turn."""
    del server
    try:
        Access.of(Settings.from_environment(os.environ))
    except SettingsError as error:
        sys.exit(str(error))
