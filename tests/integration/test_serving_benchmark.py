"""The benchmark of serving is a command that runs, and is not fooled; what it measures is not judged here."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import debian
import pytest

from benchmarks.serving.failure import FailureError, WrongAnswerError
from benchmarks.serving.goals import Goal
from benchmarks.serving.load import put_load
from benchmarks.serving.peers.network import Network
from benchmarks.serving.questions import MEASURED, PERSON, check
from benchmarks.serving.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
A_NUMBER = r"[0-9][0-9,.]*"


def benchmark(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def rows(output: str) -> dict[str, list[str]]:
    """The cells of each row by the first of them; of rows that begin alike, those of the first table."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        if line.startswith("| "):
            first, *rest = re.split(r" *\| *", line.strip("| "))
            found.setdefault(first.strip("*"), rest)
    return found


@pytest.fixture(scope="module")
def _programs() -> None:
    debian.install("wrk", "nginx-light", are_there=lambda: shutil.which("wrk") and shutil.which("nginx"))


@contextlib.contextmanager
def answering(document: object, status: int = 200) -> Iterator[int]:
    """The port of a server that answers everything with this."""
    body = json.dumps(document).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.fixture
def network() -> Network:
    """One neuron that adds the kilograms to the centimetres."""
    layer = {"weights": [[0.01, 0.01]], "biases": [-2.5]}
    return Network(
        {"kilograms_per_pound": 1.0, "centimetres_per_inch": 1.0, "shift": [0, 0], "scale": [1, 1], "layers": [layer]}
    )


def test_a_probability_that_differs_in_the_eighth_digit_is_a_wrong_answer(network: Network) -> None:
    right = float(network.probabilities_female([MEASURED])[0])
    with answering({"probability_female": right}) as port:
        check(port, PERSON, [MEASURED], network)
    with answering({"probability_female": right * (1 + 1e-8)}) as port, pytest.raises(WrongAnswerError):
        check(port, PERSON, [MEASURED], network)


@pytest.mark.usefixtures("_programs")
def test_a_server_that_answers_the_load_with_errors_is_not_measured() -> None:
    with answering({}, status=500) as port, pytest.raises(FailureError, match="failed under the load"):
        put_load(port, "/predict", b"{}", connections=1, seconds=1, cores="0")


def test_a_goal_is_reached_at_its_very_number_and_unknown_where_nothing_was_measured() -> None:
    results = Results()
    results.add("stature", memory_mib=110.0, requests_per_second=3.9)

    def row(quantity: str, needed: float, *, at_least: bool) -> str:
        goal = Goal("a goal", needed, lambda results: results.median("stature", quantity), at_least=at_least)
        return goal.row(results).rpartition(" | ")[2]

    assert row("memory_mib", 110.0, at_least=False) == "reached |"
    assert row("requests_per_second", 4.0, at_least=True) == "**not reached** |"
    assert row("start_seconds", 1.0, at_least=False) == "not measured |"


@pytest.mark.slow
@pytest.mark.usefixtures("_programs")
def test_a_short_run_measures_stature_beside_a_bare_server_and_says_why_a_peer_is_missing() -> None:
    done = benchmark(
        "--here", "--only", "stature", "hello-uvicorn-worker", "fastapi", "--rounds", "1", "--seconds", "1"
    )
    assert done.returncode == 0, done.stderr
    measured = rows(done.stdout)
    for server in ("Stature", "gunicorn with uvicorn-worker (uvloop, httptools), bare hello"):
        assert re.fullmatch(A_NUMBER, measured[server][0]), done.stdout
    assert "No module named 'fastapi'" in measured["FastAPI + uvicorn as everyone writes it"][0]
    for goal in ("rows a second in columns of 10,000", "memory of two workers together, MiB"):
        assert measured[goal][-1].strip("*") in ("reached", "not reached")
    assert measured["requests a second / MLflow"][-1] == "not measured"
    assert re.fullmatch(A_NUMBER, measured["&emsp;of which the prediction, bytes in, bytes out"][0])


def test_without_wrk_it_says_what_to_install(tmp_path: Path) -> None:
    done = benchmark("--here", "--only", "stature", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install" in done.stderr
    assert "wrk" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("_programs")
def test_a_run_with_peers_in_environments_of_their_own_measures_them_all() -> None:
    peers = ("nginx", "hello-asgi", "stature", "stature-close", "fastapi-tuned", "fastapi", "flask")
    done = benchmark("--only", *peers, "--rounds", "1", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    measured = rows(done.stdout)
    figures = [cells for cells in measured.values() if len(cells) == 11 and re.fullmatch(A_NUMBER, cells[0])]
    assert len(figures) == len(peers), done.stdout
    assert measured["requests a second / FastAPI, tuned"][-1] != "not measured"
