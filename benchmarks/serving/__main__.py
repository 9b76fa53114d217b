"""How fast Stature answers over HTTP, beside its peers, on this machine.

    python -m benchmarks.serving [--only NAME …] [--rounds N] [--seconds N] [--here] [--write]

Each peer gets a virtual environment in .benchmarks/, which is kept, and the same trained network in its own form. Each
round starts every server in turn on one core, with wrk on the other, and no answer may be wrong. The tables are printed
in Markdown; with --write they replace their section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.page import write_section
from benchmarks.serving import environments
from benchmarks.serving.bench import CONNECTIONS, Bench
from benchmarks.serving.failure import FailureError
from benchmarks.serving.goals import goals, hello_of
from benchmarks.serving.microseconds import microseconds
from benchmarks.serving.report import report
from benchmarks.serving.results import Results
from benchmarks.serving.servers import SERVERS
from service import gunicorn_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.serving.environments import Installed

_PROGRAMS = {"wrk": "wrk", "nginx": "nginx-light", "taskset": "util-linux"}


def main() -> None:
    options = _options()
    _require(options.only)
    load_before = os.getloadavg()[0]
    results = Results()
    hello = hello_of(str(gunicorn_conf.worker_class))
    installed = _install(options.only, results, environments.here if options.here else environments.install)
    with tempfile.TemporaryDirectory(prefix="stature-serving-") as folder:
        bench = Bench.prepare(Path(folder), installed, options.seconds)
        for name in options.only:
            with _noting(name, results):
                bench.make_ready(SERVERS[name])
        for number in range(options.rounds):
            _round(bench, options.only, results, title=f"round {number + 1} of {options.rounds}")
        profile = microseconds(Path(folder) / "registry", results, hello)
    how = (
        f"{options.rounds} rounds, each with {options.seconds} seconds of {CONNECTIONS} connections a server; "
        f"the machine's load before was {load_before:.2f}"
    )
    text = f"{report(options.only, results, installed, list(goals(hello)), how=how)}\n\n{profile}"
    print(text)
    if options.write:
        write_section("serving", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--only", nargs="+", choices=SERVERS, default=list(SERVERS), metavar="NAME", help=", ".join(SERVERS)
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load, with 16 connections, a server and round")
    parser.add_argument("--here", action="store_true", help="with the packages of this Python, in no environments")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    options = parser.parse_args()
    if min(options.rounds, options.seconds) < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def _require(names: Sequence[str]) -> None:
    """End with what to do where the machine lacks something."""
    if (os.cpu_count() or 1) < 2:
        sys.exit("This needs two cores: one for the server and one for the load.")
    needed = [program for program in _PROGRAMS if program != "nginx" or "nginx" in names]
    missing = [_PROGRAMS[program] for program in needed if not shutil.which(program)]
    if missing:
        sys.exit(f"This needs what Debian gives: apt-get install --yes --no-install-recommends {' '.join(missing)}")


def _install(names: Sequence[str], results: Results, install: Callable[[str], Installed]) -> dict[str, Installed]:
    """Every environment that is needed; Stature's always is, since it trains."""
    installed = {"stature": install("stature")}
    for name in names:
        environment = SERVERS[name].environment
        if environment and environment not in installed:
            with _noting(name, results):
                installed[environment] = install(environment)
    return installed


def _round(bench: Bench, names: Sequence[str], results: Results, *, title: str) -> None:
    """What failed once is left out from then on."""
    for name in names:
        if name in results.failures:
            continue
        print(f"{title}: {name}", file=sys.stderr, flush=True)
        server = SERVERS[name]
        with _noting(name, results):
            bench.measure(name, server, results)
            if server.many:
                bench.measure_rows(name, server, results)
            if name == "stature":
                bench.measure_scaling(name, server, results)
                bench.measure_company(name, server, results)


@contextlib.contextmanager
def _noting(name: str, results: Results) -> Iterator[None]:
    """Why a server cannot be measured stands in its row, and does not keep others from being measured."""
    try:
        yield
    except FailureError as failure:
        print(f"{name}: {failure}", file=sys.stderr, flush=True)
        results.failures[name] = str(failure).replace("|", "/").replace("\n", " ")


if __name__ == "__main__":
    try:
        main()
    except FailureError as failure:  # of Stature itself, without which there is nothing to serve
        sys.exit(str(failure))
