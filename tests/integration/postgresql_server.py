"""A PostgreSQL of the tests' own: in a temporary directory, on a Unix socket, ended with them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import debian

if TYPE_CHECKING:
    from collections.abc import Iterator


class NoServerError(Exception):
    """There is no PostgreSQL here, and none can be had."""


@contextmanager
def postgresql() -> Iterator[str]:
    """The connection string of a running server, empty."""
    programs = _programs()
    # Neither pytest's directories, which are closed to others, nor long: the path of a socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = _unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        # Its output goes to a file: a server that inherits a pipe would keep it open.
        with (folder / "log").open("a+") as log:
            outcome = subprocess.run(
                [programs / program, f"--pgdata={folder}/data", *arguments],
                cwd=folder,
                user=user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            if outcome.returncode != 0:
                log.seek(0)
                raise NoServerError(f"{program} failed: {log.read()[-500:]}")

    try:
        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "start", "--wait", f"--options=-c listen_addresses= -c fsync=off -k {folder}")
        try:
            yield f"host={folder} user=postgres dbname=postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NoServerError("PostgreSQL does not run as root, and there is no other user")


def _programs() -> Path:
    """The folder of initdb and pg_ctl; root may have them installed."""
    debian.install("postgresql", are_there=_installed)
    found = _installed()
    assert found is not None
    return found


def _installed() -> Path | None:
    on_the_path = shutil.which("initdb")
    folders = [Path(on_the_path).resolve().parent] if on_the_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)
