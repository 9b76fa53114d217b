"""The results in Markdown: the tables, the versions and the machine."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.serving.environments import Installed
    from benchmarks.serving.goals import Goal
    from benchmarks.serving.results import Results

_POLLING = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
"""How long a virtual machine's processor looks for work before it sleeps: to wake the other one can cost more than to
answer a request."""
_MANY = {"columns": "in columns", "batch": "one by one"}


def report(
    names: Sequence[str], results: Results, installed: Mapping[str, Installed], goals: Sequence[Goal], *, how: str
) -> str:
    """All of it. `how` says how long and how often was measured."""
    parts = [
        f"{_machine()}. {how}.",
        *_headline(results),
        "\n".join(_servers(names, results, installed)),
        "### The goals",
        "\n".join(["| | needed | measured | |", "|---|---|---|---|", *(goal.row(results) for goal in goals)]),
        "### Many people in one request",
        "10,000 a request, four connections: rows a second, on one core.",
        "\n".join(_rows(names, results)),
        "### One core and two",
        "wrk shares the server's cores, with 16 connections a worker: one worker on one core, and two on two.",
        "\n".join(_scaling(results)),
        "### In company",
        "One caller of single predictions on one connection, and what else goes on; milliseconds.",
        "\n".join(_company(results)),
        "### Versions",
        "\n".join(_versions(names, installed)),
    ]
    return "\n\n".join(parts)


def _headline(results: Results) -> Iterator[str]:
    """The figure that is quoted, together with what it must not be quoted without; nothing if one is missing."""
    rate, usual, tuned, closing = (
        results.median(name, "requests_per_second") for name in ("stature", "fastapi", "fastapi-tuned", "stature-close")
    )
    if not math.isnan(rate + usual + tuned + closing):
        yield (
            f"**Stature answers {rate:,.0f} requests a second on one core: {rate / usual:.1f} times FastAPI as "
            f"everyone writes it, {rate / tuned:.1f} times a tuned one; {closing:,.0f} where each "
            "has a connection of its own.**"
        )


def _servers(names: Sequence[str], results: Results, installed: Mapping[str, Installed]) -> Iterator[str]:
    yield (
        "| | requests/s | range | / FastAPI | processor time a request (µs) | p50, 16 connections (ms) "
        "| p99 (ms) | p50, one connection (ms) | memory (MiB) | start (s) | packages | on disk (MiB) |"
    )
    yield "|---|" + "---:|" * 11
    fastapi = results.median("fastapi", "requests_per_second")
    order = sorted(names, key=lambda name: -_number(results.median(name, "requests_per_second")))
    for name in order:
        server = SERVERS[name]
        if name in results.failures:
            yield f"| {server.title} | {results.failures[name]} |" + " |" * 10
            continue
        rates = results.all(name, "requests_per_second")
        environment = installed.get(server.environment or "")
        known = environment is not None and environment.packages is not None and not server.constant
        yield " | ".join(
            [
                f"| {server.title}",
                f"{results.median(name, 'requests_per_second'):,.0f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                _decimals(results.median(name, "requests_per_second") / fastapi, 2),
                _decimals(results.median(name, "processor_microseconds"), 1),
                _decimals(results.median(name, "p50_milliseconds"), 2),
                _decimals(results.median(name, "p99_milliseconds"), 2),
                _decimals(results.median(name, "alone_milliseconds"), 3),
                _decimals(results.median(name, "memory_mib"), 0),
                _decimals(results.median(name, "start_seconds"), 2),
                f"{environment.packages}" if known and environment else "-",
                f"{environment.mebibytes:.0f} |" if known and environment else "- |",
            ]
        )


def _rows(names: Sequence[str], results: Results) -> Iterator[str]:
    yield "| | form | rows/s | range |\n|---|---|---:|---:|"
    for name in names:
        for kind in SERVERS[name].many:
            rates = results.all(name, f"{kind}_rows_per_second")
            if rates:
                median = results.median(name, f"{kind}_rows_per_second")
                span = f"{min(rates):,.0f} to {max(rates):,.0f}"
                yield f"| {SERVERS[name].title} | {_MANY[kind]} | {median:,.0f} | {span} |"


def _scaling(results: Results) -> Iterator[str]:
    yield "| Stature | requests/s | range | memory (MiB) |\n|---|---:|---:|---:|"
    for workers, title in ((1, "one worker, one core"), (2, "two workers, two cores")):
        rates = results.all("stature", f"requests_per_second_with_{workers}")
        if rates:
            median = results.median("stature", f"requests_per_second_with_{workers}")
            memory = results.median("stature", f"memory_mib_with_{workers}")
            yield f"| {title} | {median:,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | {memory:.0f} |"


def _company(results: Results) -> Iterator[str]:
    yield "| Stature | p50 | p99 | p99.9 |\n|---|---:|---:|---:|"
    promotions = results.median("stature", "promotions_per_second")
    for company, title in (
        ("alone", "alone"),
        ("batches", "beside a caller of batches of 10,000"),
        ("promotions", f"while the champion changes {_decimals(promotions, 0)} times a second, looked at as often"),
    ):
        if results.all("stature", f"p99_{company}"):
            waits = (_decimals(results.median("stature", f"{which}_{company}"), 2) for which in ("p50", "p99", "p999"))
            yield f"| {title} | {' | '.join(waits)} |"


def _versions(names: Sequence[str], installed: Mapping[str, Installed]) -> Iterator[str]:
    yield "| environment | versions |\n|---|---|"
    wanted = dict.fromkeys(SERVERS[name].environment for name in names)
    for environment in wanted:
        if environment is not None and environment in installed:
            yield f"| {environment} | {installed[environment].versions} |"


def _machine() -> str:
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in processors if line.startswith("model name")), "")
    polling = f", which wait {_POLLING.read_text().strip()} ns before they sleep" if _POLLING.exists() else ""
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores{polling}, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _decimals(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"
