"""The image and the Compose file on a real engine, used as the README says.

A machine without an engine skips these tests and says why; in CI a skipped test is a failed one (tests/conftest.py).
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from end_to_end.container_engine import ROOT, NoEngineError, Project, container_engine, eventually

pytestmark = pytest.mark.slow

PERSON = {"weight_kg": 73, "height_cm": 182}
SAMPLE = ROOT / "model" / "data" / "nhanes_2009_2012_sample.csv"

# Run in the service's container: asks each worker for its version, if it is ready, while the others are stopped, so
# that no other answers in its place. The workers are the children of the first process.
ASK_EACH_WORKER = """
import json, os, pathlib, signal, urllib.error, urllib.request
def parent(process):
    return int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
workers = [int(process.name) for process in pathlib.Path("/proc").glob("[0-9]*") if parent(process) == 1]
versions = {}
for worker in workers:
    others = [other for other in workers if other != worker]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        with urllib.request.urlopen("http://127.0.0.1:8000/readyz", timeout=5) as answer:
            versions[worker] = json.load(answer)["model_version"]
    except urllib.error.HTTPError:
        versions[worker] = None
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)
print(json.dumps(versions))
"""

# Run in the image: what serving and training import, the standard library included, without valid bytecode beside it.
NAME_WHAT_IS_NOT_COMPILED = """
import importlib.util, os, pathlib, sys
import model.cli, model.training.job, service.app
def compiled(source):
    bytecode = pathlib.Path(importlib.util.cache_from_source(source))
    return bytecode.exists() and int.from_bytes(bytecode.read_bytes()[8:12], "little") == int(os.stat(source).st_mtime)
sources = {str(getattr(module, "__file__", "")) for module in sys.modules.values()}
print(*sorted(source for source in sources if source.endswith(".py") and not compiled(source)))
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Mapping[str, str]]:
    try:
        with container_engine("python:3.13-slim") as environment:
            yield environment
    except NoEngineError as error:
        pytest.skip(f"no container engine: {error}")


@pytest.fixture(scope="module")
def image(engine: Mapping[str, str]) -> Iterator[str]:
    """The image under a tag that nothing had before, so that a failed build cannot have an older one tested."""
    tag = f"stature:test-{uuid.uuid4().hex[:12]}"
    checkout = Project(ROOT, {**engine, "STATURE_IMAGE": tag, "COMPOSE_PROJECT_NAME": "stature-test-build"}, 0)
    checkout.compose("--file", "docker-compose.yml", "build")
    yield tag
    checkout.docker("image", "rm", "--force", tag)


@pytest.fixture(scope="module")
def shared_project(
    engine: Mapping[str, str], image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = Project.create(tmp_path_factory.mktemp("shared") / "project", engine, image)
    yield project
    project.remove()


@pytest.fixture
def project(shared_project: Project) -> Project:
    """A project that is up and healthy, with at least one version: the same for all tests that can share it."""
    shared_project.up()
    return shared_project


@pytest.fixture
def empty_project(engine: Mapping[str, str], image: str, tmp_path: Path) -> Iterator[Project]:
    """A project with an empty registry that was never up."""
    project = Project.create(tmp_path / "project", engine, image)
    yield project
    project.remove()


def served_version(project: Project) -> int:
    status, body = project.request("/predict", PERSON)
    assert status == 200, body
    return body["model_version"]


def published_versions(project: Project) -> int:
    status, body = project.request("/versions")
    assert status == 200, body
    return len(body["versions"])


def versions_by_worker(project: Project) -> dict[str, int | None]:
    return json.loads(project.compose("exec", "-T", "service", "python", "-c", ASK_EACH_WORKER))


def test_compose_accepts_the_file_which_publishes_the_service_to_this_machine_only(project: Project) -> None:
    project.compose("config", "--quiet")

    services = json.loads(project.compose("--profile", "*", "config", "--format", "json"))["services"]

    published = {name: [port.get("host_ip") for port in service.get("ports", [])] for name, service in services.items()}
    assert published == {"init": [], "service": ["127.0.0.1"], "train": []}


def test_up_on_an_empty_volume_trains_and_then_serves_healthy(empty_project: Project) -> None:
    empty_project.up()

    assert empty_project.container("init")["State"]["ExitCode"] == 0
    assert empty_project.container("service")["State"]["Health"]["Status"] == "healthy"
    assert published_versions(empty_project) == 1
    assert served_version(empty_project) == 1


def test_a_second_up_trains_nothing(project: Project) -> None:
    before = published_versions(project), served_version(project)

    project.up()
    assert (published_versions(project), served_version(project)) == before

    project.compose("down")
    project.up()
    assert (published_versions(project), served_version(project)) == before


def test_a_retrained_version_is_served_by_every_worker_without_a_restart(project: Project) -> None:
    before = versions_by_worker(project)
    assert len(before) == 2
    started = project.container("service")["State"]["StartedAt"]

    project.compose("run", "--rm", "-T", "train", "--seed", "2", "--promote", "always")

    version = published_versions(project)
    assert version not in before.values()
    expected = dict.fromkeys(before, version)  # the same processes
    assert eventually(lambda: versions_by_worker(project) == expected, seconds=5), versions_by_worker(project)
    assert project.container("service")["State"]["StartedAt"] == started


def test_a_file_in_the_data_folder_retrains(project: Project) -> None:
    people = SAMPLE.read_text().splitlines(keepends=True)[:2001]
    project.folder.joinpath("data", "people.csv").write_text("".join(people))

    trained = json.loads(project.compose("run", "--rm", "-T", "train", "--data", "/data/people.csv", "--json"))

    assert trained["people"] == 2000
    status, body = project.request(f"/versions/{trained['model_version']}/predict", PERSON)
    assert status == 200, body
    assert body["model_version"] == trained["model_version"]


def test_the_data_folder_is_read_only_for_training(project: Project) -> None:
    outcome = project.run(
        *"docker compose run --rm -T --entrypoint touch train /data/anything".split()  # noqa: SIM905 - a command line
    )

    assert "Read-only file system" in outcome.stderr


def test_a_failed_training_keeps_the_service_from_starting(empty_project: Project) -> None:
    failing = {"services": {"init": {"command": ["--data", "/data/absent.csv"]}}}
    empty_project.folder.joinpath("docker-compose.override.yml").write_text(json.dumps(failing))

    outcome = empty_project.run("docker", "compose", "up", "--detach")

    assert outcome.returncode != 0
    assert empty_project.container("init")["State"]["ExitCode"] != 0
    assert "absent.csv" in empty_project.compose("logs", "init")
    assert empty_project.container("service")["State"]["Status"] == "created"


def test_a_service_without_a_model_is_unhealthy_until_one_is_trained(empty_project: Project) -> None:
    empty_project.compose("up", "--detach", "--no-deps", "service")
    check = empty_project.container("service")["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert eventually(lambda: "503" in empty_project.inside(*check[1:]), seconds=30)

    empty_project.compose("run", "--rm", "-T", "train")

    assert eventually(lambda: set(versions_by_worker(empty_project).values()) == {1}, seconds=5)
    assert empty_project.inside(*check[1:]) == ""


def test_the_service_is_not_root_and_can_become_nothing_more(project: Project) -> None:
    status = dict(line.split(":\t", 1) for line in project.inside("cat", "/proc/1/status").splitlines())

    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_the_image_alone_is_not_root_either(shared_project: Project, image: str) -> None:
    assert shared_project.docker("run", "--rm", "--entrypoint", "id", image, "-u").strip() == "10001"


def test_the_service_writes_nowhere_but_in_its_temporary_folder(project: Project) -> None:
    for folder in ("/", "/opt/stature", "/var/lib/stature", "/var/lib/stature/registry"):
        assert "Read-only file system" in project.inside("touch", f"{folder}/anything"), folder

    assert project.inside("touch", "/tmp/anything") == ""


def test_everything_that_is_imported_comes_compiled(shared_project: Project, image: str) -> None:
    printed = shared_project.docker("run", "--rm", "--entrypoint", "python", image, "-c", NAME_WHAT_IS_NOT_COMPILED)

    assert printed.split() == []


def test_sigterm_ends_the_service_cleanly(project: Project) -> None:
    started = time.monotonic()

    project.compose("stop", "service")

    assert time.monotonic() - started < 10
    assert project.container("service")["State"]["ExitCode"] == 0
    assert "Traceback" not in project.compose("logs", "service")


# What is told of it


def test_both_workers_count_on_a_file_system_that_is_read_only(project: Project) -> None:
    assert project.request("/predict", PERSON)[0] == 200
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/metrics').read().decode())"
    scraped = project.inside("python", "-c", ask)
    assert 'stature_worker_champion_version{worker="1"}' in scraped
    assert 'stature_worker_champion_version{worker="2"}' in scraped
    assert "stature-slots-" in project.inside("ls", "/dev/shm")


def test_the_monitoring_profile_names_its_images_and_mounts_what_there_is(engine: Mapping[str, str]) -> None:
    checkout = Project(ROOT, {**engine, "COMPOSE_PROJECT_NAME": "stature-test-monitoring"}, 0)
    services = json.loads(checkout.compose("--profile", "monitoring", "config", "--format", "json"))["services"]
    assert set(services) == {"init", "service", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert services[name]["image"].partition(":")[2].lstrip("v")[0].isdigit(), "a version, and not the latest"
        mounted = [volume["source"] for volume in services[name]["volumes"] if volume["type"] == "bind"]
        assert mounted
        assert all(Path(source).is_file() for source in mounted)
    unasked = json.loads(checkout.compose("config", "--format", "json"))["services"]
    assert set(unasked) == {"init", "service"}
