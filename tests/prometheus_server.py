"""A real Prometheus of the tests' own, on loopback with its data in a temporary directory; and promtool, its companion.

PYTHONPATH=tests python -m prometheus_server      installs both from Debian's package, as root
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import debian
from end_to_end.running_service import free_port, wait_for
from stores.store import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("prometheus", "promtool")


def install() -> None:
    debian.install("prometheus", are_there=lambda: all(map(shutil.which, PROGRAMS)))


def promtool(*arguments: str, given: str = "") -> str:
    """What it says. AssertionError where it finds fault."""
    install()
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:
        """What the API answers, its `data`."""
        with urllib.request.urlopen(
            f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10
        ) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        result: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The one number that an expression gives; None where it gives no series."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@contextlib.contextmanager
def prometheus(configuration: str, folder: Path) -> Iterator[Prometheus]:
    """One with this configuration, ready, for as long as the block lasts."""
    install()
    folder.mkdir(parents=True, exist_ok=True)
    file, log, port = folder / "prometheus.yml", folder / "log", free_port()
    file.write_text(configuration)
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    server = Prometheus(port)

    def ready() -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    with running(command, log, cwd=folder):
        wait_for(ready, log.read_text)
        yield server


if __name__ == "__main__":
    install()
