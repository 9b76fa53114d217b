"""What the images weigh, package by package; how soon a container is ready, and the memory that it takes.

    python -m benchmarks.image [--write] [PACKAGE …]

It builds both images on a container engine, which is started if none answers. A package that is named is installed in
the very way of the images, with what it needs, in a folder of its own. --write puts the tables into docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from end_to_end.container_engine import ROOT, Project, container_engine
from end_to_end.load import load_on

from benchmarks.page import write_section

BASE = "python:3.13-slim"
REPETITIONS = 7
REQUESTS = 2000
SMALLEST_SHOWN_BYTES = 1_000_000

# Run in an image: the bytes of each installed package, bytecode included, by what it says of its own files.
WEIGH = """
import importlib.metadata, json, pathlib, sys
site = pathlib.Path(sys.argv[1])
weights = {}
for package in importlib.metadata.distributions(path=[str(site)]):
    own = {site / file for file in package.files or () if (site / file).is_file()}
    compiled = [(file.parent / "__pycache__").glob(file.stem + ".*.pyc") for file in own if file.suffix == ".py"]
    weights[package.name] = sum(file.stat().st_size for file in own.union(*compiled))
everything = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
print(json.dumps({"packages": weights, "all": everything}))
"""
SITE_PACKAGES = "/opt/stature/lib/python3.13/site-packages"
INSTALL = "python -m venv /opt/build && python -m venv --without-pip /opt/stature && /install.sh"


def main(peers: list[str], *, write: bool) -> None:
    with ExitStack() as opened:
        with redirect_stdout(sys.stderr):
            environment = opened.enter_context(container_engine(BASE))
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        tag = f"stature:benchmark-{uuid.uuid4().hex[:12]}"
        project = Project.create(Path(folder) / "project", environment, tag)
        try:
            Project(ROOT, project.environment, 0, 0).compose("--file", "docker-compose.yml", "build", "--quiet")
            text = report(project, tag, peers)
        finally:
            project.remove()
            project.docker("image", "rm", "--force", tag, f"{tag}-train")
    print(text)
    if write:
        write_section("image", text)


def report(project: Project, tag: str, peers: list[str], repetitions: int = REPETITIONS) -> str:
    """The tables, of the images with this tag."""
    return "\n".join(
        [
            *sizes(project, tag, peers),
            "",
            *packages(weigh(project, tag)["packages"]),
            "",
            *running(project, repetitions),
        ]
    )


def sizes(project: Project, tag: str, peers: list[str]) -> list[str]:
    def size(image: str) -> int:
        return int(project.docker("inspect", "--format", "{{.Size}}", image))

    stand_in = project.docker("inspect", "--format", '{{index .Config.Labels "stand-in"}}', BASE).startswith("debian")
    rows = [
        f"| `{target}` | {megabytes(size(image) - size(BASE))} | {len(weigh(project, image)['packages'])} |"
        for target, image in (("serve", tag), ("train", f"{tag}-train"))
    ]
    return [
        f"{platform.machine()}, {os.cpu_count()} cores. `{BASE}` itself has {megabytes(size(BASE))}: it is",
        f"{'a stand-in made from Debian packages' if stand_in else 'the official image'}.",
        "",
        "| image | adds to Python | packages |",
        "|---|---|---|",
        *rows,
        *(f"| {peer}, installed the same way | {installed(project, peer)} |" for peer in peers),
    ]


def packages(weights: dict[str, int]) -> list[str]:
    """The larger packages, and what the others have together."""
    large = {name: weight for name, weight in weights.items() if weight >= SMALLEST_SHOWN_BYTES}
    rest = sum(weights.values()) - sum(large.values())
    return [
        "| package in `serve` | |",
        "|---|---|",
        *(f"| {name} | {megabytes(weight)} |" for name, weight in sorted(large.items(), key=lambda pair: -pair[1])),
        f"| {len(weights) - len(large)} others | {megabytes(rest)} |",
    ]


def running(project: Project, repetitions: int) -> list[str]:
    project.up()
    seconds = [start_to_ready(project) for _ in range(repetitions)]
    with load_on(project.port) as load:
        load.goes_on(REQUESTS)
    if load.failures:
        sys.exit(f"requests failed: {load.failures[0]}")
    return [
        f"With two workers, a container is ready {statistics.median(seconds):.2f} seconds after its process has",
        f"started: the median of {repetitions}, from {min(seconds):.2f} to {max(seconds):.2f}.",
        f"After {REQUESTS:,} requests it takes {megabytes(memory_bytes(project))} of memory.",
    ]


def weigh(project: Project, image: str) -> dict:
    return json.loads(project.docker("run", "--rm", "--entrypoint", "python", image, "-c", WEIGH, SITE_PACKAGES))


def installed(project: Project, peer: str) -> str:
    """Megabytes and number of packages, or why there are none."""
    script = f'{INSTALL} {peer} >&2 && /opt/stature/bin/python -c "$WEIGH" {SITE_PACKAGES}'
    options = (
        "--rm",
        "--volume",
        f"{ROOT / 'deploy' / 'image' / 'install.sh'}:/install.sh:ro",
        "--env",
        f"WEIGH={WEIGH}",
    )
    outcome = project.run("docker", "run", *options, BASE, "sh", "-c", script)
    if outcome.returncode != 0:
        return f"{outcome.stderr.strip().splitlines()[-1]} | none"
    weighed = json.loads(outcome.stdout)
    return f"{megabytes(weighed['all'])} | {len(weighed['packages'])}"


def start_to_ready(project: Project) -> float:
    """Seconds from the moment at which the engine started the process to the first answer that says ready."""
    container = project.container("service")["Id"]
    project.docker("stop", container)
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(project.docker, "start", container)
        ready = first_ready(project.port)
        starting.result()
    started = project.container("service")["State"]["StartedAt"]
    return ready - datetime.fromisoformat(f"{started[:26]}+00:00").timestamp()


def first_ready(port: int) -> float:
    """The moment of the first answer that says ready, to a few milliseconds."""
    deadline = time.time() + 60
    while time.time() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return time.time()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.005)
    sys.exit("the container does not get ready")


def memory_bytes(project: Project) -> int:
    """What the processes take themselves, each shared page counted once for all that share it."""
    sums = "cat /proc/[0-9]*/smaps_rollup"
    lines = project.docker("compose", "exec", "-T", "service", "sh", "-c", sums).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if argument != "--write"], write="--write" in sys.argv)
