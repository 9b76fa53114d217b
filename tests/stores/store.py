"""What every store of the tests is: a URL, and the environment variables that a user would set to reach it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(os.environ.get("STATURE_STORES_DIR") or Path.home() / ".cache" / "stature-stores")
"""Where stores are installed that no package manager of the system brings: kept from run to run."""


class StoreMissingError(Exception):
    """This machine lacks what the store is started with; the text says what."""


@dataclass(frozen=True)
class Store:
    """A running store, or a directory."""

    name: str
    root: str
    """The URL of a bucket or container, or a path. Every test keeps to a folder of its own below it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    endpoint_variable: str | None = None
    """Which of the variables holds the address of the server; None where there is no server."""

    def through(self, port: int) -> Store:
        """The same store, reached by way of a proxy on this port."""
        assert self.endpoint_variable is not None
        endpoint = self.environment[self.endpoint_variable].replace(f":{self.port}", f":{port}")
        return Store(self.name, self.root, {**self.environment, self.endpoint_variable: endpoint}, None)

    @property
    def port(self) -> int:
        assert self.endpoint_variable is not None
        return int(self.environment[self.endpoint_variable].split(":")[2].partition("/")[0])


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, cwd: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block lasts; what it says goes to the log."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=without_coverage() | environment,
            cwd=cwd,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def without_coverage() -> dict[str, str]:
    """The environment less what would measure a process that is no part of the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
