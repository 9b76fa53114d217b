"""The two images on a real engine: what they hold, what they leave out, and the deliberate breaks that are noticed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import uuid
from typing import TYPE_CHECKING

import pytest
from end_to_end.container_fixtures import BASE_IMAGES, Images

from benchmarks import image as image_benchmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from end_to_end.container_engine import Project

pytestmark = pytest.mark.slow

REGISTRY = "/var/lib/stature/registry"
MOST_ADDED_BYTES = 120_000_000

# Run in an image: what is imported, the standard library included, without valid bytecode beside it. A file's second
# four bytes say whether it is tied to its source's time (0) or to nothing (1).
NAME_WHAT_IS_NOT_COMPILED = """
import importlib, importlib.util, os, pathlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
def compiled(source):
    bytecode = pathlib.Path(importlib.util.cache_from_source(source))
    if not bytecode.exists():
        return False
    flags, time = (int.from_bytes(bytecode.read_bytes()[start:start + 4], "little") for start in (4, 8))
    return flags == 1 or (flags == 0 and time == int(os.stat(source).st_mtime))
sources = {str(getattr(module, "__file__", "")) for module in sys.modules.values()}
print(*sorted(source for source in sources if source.endswith(".py") and not compiled(source)))
"""


def printed(project: Project, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """What a command that succeeds prints in a container of its own."""
    return project.docker("run", "--rm", *options, "--entrypoint", command[0], image, *command[1:]).strip()


def is_not_root(project: Project, image: str) -> bool:
    return printed(project, image, "id", "-u") == "10001"


def trains_into_a_new_volume(project: Project, image: str) -> bool:
    volume = project.docker("volume", "create").strip()
    try:
        mount = ("--volume", f"{volume}:{REGISTRY}")
        return project.run("docker", "run", "--rm", *mount, "--entrypoint", "stature", image, "train").returncode == 0
    finally:
        project.docker("volume", "rm", volume)


def tells_its_health(project: Project, image: str) -> bool:
    check = project.docker("inspect", "--format", "{{json .Config.Healthcheck}}", image)
    return "/readyz" in check


CHECKS: dict[str, Callable[[Project, str], bool]] = {
    "not root": is_not_root,
    "owned volume": trains_into_a_new_volume,
    "health": tells_its_health,
}


def test_both_images_are_not_root(checkout: Project, images: Images) -> None:
    assert is_not_root(checkout, images.serve)
    assert is_not_root(checkout, images.train)


def test_training_writes_into_a_new_volume(checkout: Project, images: Images) -> None:
    assert trains_into_a_new_volume(checkout, images.train)


def test_what_serves_tells_its_health_and_what_ends_has_none(checkout: Project, images: Images) -> None:
    assert tells_its_health(checkout, images.serve)
    assert not tells_its_health(checkout, images.train)


@pytest.fixture
def broken(checkout: Project, images: Images, request: pytest.FixtureRequest) -> Iterator[str]:
    """An image that differs from the one that trains, with the health of the one that serves, by one fault."""
    command, change = BREAKS[request.param]
    tag, name = f"stature:broken-{uuid.uuid4().hex[:12]}", f"stature-broken-{uuid.uuid4().hex[:12]}"
    (health,) = json.loads(checkout.docker("inspect", "--format", "[{{json .Config.Healthcheck.Test}}]", images.serve))
    changes = {"HEALTHCHECK": f"CMD {json.dumps(health[1:])}", "USER": "10001:10001", **change}
    checkout.docker("run", "--name", name, "--user", "root", "--entrypoint", command[0], images.train, *command[1:])
    options = [f"--change={instruction} {value}" for instruction, value in changes.items()]
    checkout.docker("commit", *options, name, tag)
    yield tag
    checkout.docker("rm", name)
    checkout.docker("image", "rm", "--force", tag)


BREAKS: dict[str | None, tuple[tuple[str, ...], dict[str, str]]] = {
    None: (("true",), {}),
    "not root": (("true",), {"USER": "root"}),
    "owned volume": (("chown", "root:root", REGISTRY), {}),
    "health": (("true",), {"HEALTHCHECK": "NONE"}),
}
"""By the check that notices it: a command as root, and what the image's configuration then says."""


@pytest.mark.parametrize("broken", BREAKS, indirect=True)
def test_a_deliberate_break_is_noticed_by_its_check_and_no_other(
    broken: str, checkout: Project, request: pytest.FixtureRequest
) -> None:
    noticed = {name for name, check in CHECKS.items() if not check(checkout, broken)}

    assert noticed == {request.node.callspec.params["broken"]} - {None}


def test_the_serving_image_adds_less_than_120_mb_to_python(
    checkout: Project, images: Images, record_property: Callable[[str, object], None]
) -> None:
    sizes = {
        image: int(checkout.docker("inspect", "--format", "{{.Size}}", image))
        for image in (BASE_IMAGES[0], images.serve, images.train)
    }
    base, serve, train = sizes.values()
    record_property("bytes that serving adds", f"{serve - base:,}")
    record_property("bytes that training adds", f"{train - base:,}")

    assert serve - base < MOST_ADDED_BYTES


def test_the_serving_image_has_nothing_that_only_training_uses(checkout: Project, images: Images) -> None:
    ask = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    packages = ("numpy", "flask", "obstore", "duckdb", "matplotlib", "rich", "threadpoolctl", "pip")

    assert printed(checkout, images.serve, "python", "-c", ask, *packages) == "numpy flask obstore"
    assert printed(checkout, images.train, "python", "-c", ask, *packages) == " ".join(packages[:-1])


def test_the_serving_image_says_which_image_trains(checkout: Project, images: Images) -> None:
    outcome = checkout.run("docker", "run", "--rm", images.serve, "train")

    assert outcome.returncode == 1
    assert re.match(r"Error: `stature train` needs the package \w+, which is not installed here\.", outcome.stderr)
    assert "target `train`" in outcome.stderr


def test_every_other_command_runs_in_the_serving_image(checkout: Project, images: Images) -> None:
    volume = checkout.docker("volume", "create").strip()
    mount = ("--volume", f"{volume}:{REGISTRY}")
    trainings = [f"stature train --seed {seed}" for seed in (1, 2, 3)]
    commands = (
        *("models", "show 1", "log", "diff 1 2", "promote 2", "rollback", "delete 3", "verify", "prune", "doctor"),
        *("predict --weight-kg 73 --height-cm 182", "export 1 --to json", "--version"),
    )
    try:
        printed(checkout, images.train, "sh", "-ec", "\n".join(trainings), options=mount)
        said = printed(
            checkout, images.serve, "sh", "-ec", "\n".join(f"stature {command}" for command in commands), options=mount
        )
    finally:
        checkout.docker("volume", "rm", volume)
    assert said.endswith("stature 7.8.9")


def test_the_image_has_the_version_that_it_was_built_with(checkout: Project, images: Images) -> None:
    assert checkout.docker("run", "--rm", images.serve, "--version") == "stature 7.8.9\n"


@pytest.mark.parametrize(("image", "training"), [("serve", ()), ("train", ("model.training.job",))])
def test_everything_that_is_imported_comes_compiled(
    image: str, training: tuple[str, ...], checkout: Project, images: Images
) -> None:
    modules = (
        "model.cli",
        "service.server",
        "gunicorn.app.wsgiapp",
        "service.flask_server",
        "uvloop",
        *training,
    )

    assert printed(checkout, getattr(images, image), "python", "-c", NAME_WHAT_IS_NOT_COMPILED, *modules) == ""


def contents(project: Project, image: str) -> dict[str, tuple[object, ...]]:
    """Every file of an image with all that can be said of it but its time."""
    container = project.docker("create", image).strip()
    found = {}
    with subprocess.Popen(("docker", "export", container), env=project.environment, stdout=subprocess.PIPE) as export:
        with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                digest = hashlib.file_digest(file, "sha256").hexdigest() if file else ""
                found[member.name] = (member.type, member.mode, member.uid, member.gid, member.linkname, digest)
        assert export.stdout is not None
        export.stdout.read()
    project.docker("rm", container)
    return found


def test_an_image_that_is_built_twice_is_the_same_but_for_times(checkout: Project, images: Images) -> None:
    once = contents(checkout, images.serve)
    configured = checkout.docker("inspect", "--format", "{{json .Config}}", images.serve)

    checkout.compose("--file", "docker-compose.yml", "build", "--no-cache", "service")
    again = contents(checkout, images.serve)

    assert {name for name in once.keys() | again.keys() if once.get(name) != again.get(name)} == set()
    assert checkout.docker("inspect", "--format", "{{json .Config}}", images.serve) == configured


def test_the_benchmark_of_the_image_measures_size_start_and_memory(empty_project: Project, images: Images) -> None:
    said = image_benchmark.report(empty_project, images.serve, ["click"], repetitions=1)

    assert re.search(r"^\| `serve` \| [0-9.]+ MB \| [0-9]+ \|$", said, re.MULTILINE), said
    assert re.search(r"^\| click, installed the same way \| [0-9.]+ MB \| 1 \|$", said, re.MULTILINE), said
    assert re.search(r"^\| numpy \| [0-9.]+ MB \|$", said, re.MULTILINE), said
    assert re.search(r"is ready [0-9.]+ seconds after", said), said
    assert re.search(r"[0-9.]+ MB of memory", said), said
