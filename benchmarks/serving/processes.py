"""A server's processes: started on cores of their own, awaited until the first right answer, weighed, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.failure import FailureError, WrongAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Running:
    """A server that has answered rightly."""

    root: int
    """The process that was started; all others descend from it."""
    port: int
    start_seconds: float
    """From the start of the process to the first right answer."""

    def memory_mib(self) -> float:
        """The proportional set size of all its processes: memory that some share is counted once."""
        kilobytes = 0
        for process in _tree(self.root):
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
                kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kilobytes / 1024.0

    def processor_seconds(self) -> float:
        """What all its processes have computed so far, in their own code and in the kernel."""
        ticks = 0
        for process in _tree(self.root):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])  # utime and stime: proc(5) counts from the first of all
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    *,
    cores: str,
    log: Path,
    check: Callable[[], None],
) -> Iterator[Running]:
    """The server for as long as the block lasts. FailureError if it ends, or gives no right answer in time."""
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the commands of our own table
            ["taskset", "-c", cores, *command],  # noqa: S607 - wherever Debian has put it
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=log.parent,
        )
    try:
        while not _answers(check):
            if process.poll() is not None or time.perf_counter() - start > _START_SECONDS:
                said = log.read_text(errors="replace").strip().splitlines()
                raise FailureError(f"does not start: {said[-1][:200] if said else 'it says nothing'}")
            time.sleep(_LOOK_SECONDS)
        yield Running(process.pid, port, time.perf_counter() - start)
    finally:
        _end(process)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _answers(check: Callable[[], None]) -> bool:
    """Whether it answers yet; while it starts it may well answer with an error."""
    try:
        check()
    except WrongAnswerError:
        raise
    except FailureError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the first, which tells the others, and SIGKILL to whoever does not listen."""
    tree = _tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_STOP_SECONDS)
    for survivor in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(survivor, signal.SIGKILL)
    process.wait()


def _tree(root: int) -> list[int]:
    """This process and all that descend from it, while they live."""
    found = [root]
    for process in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found
