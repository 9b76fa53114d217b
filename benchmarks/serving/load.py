"""The load: wrk, one thread on a core of its own, which posts the same bytes over and over."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.failure import FailureError

_SCRIPT = Path(__file__).with_name("load.lua")
_MOST_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests: int
    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    p999_milliseconds: float


def put_load(
    port: int, path: str, body: bytes, *, connections: int, seconds: int, cores: str, close: bool = False
) -> Load:
    """FailureError where a single request was not answered with 200."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        threads = min(connections, len(cores.split(",")))
        command = f"taskset -c {cores} wrk -t{threads} -c{connections} -d{seconds}s --timeout 10s -s".split()
        command += [str(_SCRIPT), f"http://127.0.0.1:{port}{path}", "--", file.name, *(["close"] * close)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - wrk, with our arguments
    if done.returncode:
        raise FailureError(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    if measured["failed"]:
        raise FailureError(f"{measured['failed']} of {measured['requests']} requests failed under the load")
    if not measured["requests"]:
        if seconds >= _MOST_SECONDS:
            raise FailureError(f"no request was answered in {seconds} seconds of load")
        # A machine that is busy otherwise: for longer, then.
        return put_load(port, path, body, connections=connections, seconds=4 * seconds, cores=cores, close=close)
    rate = 1e6 * measured["requests"] / measured["microseconds"]
    return Load(measured["requests"], rate, *(measured[which] / 1000.0 for which in ("p50", "p99", "p999")))
