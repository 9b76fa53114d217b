"""The Compose file on a real engine, used as the README says: one service, its registry, trainings."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.container_engine import ROOT, Project, eventually
from end_to_end.load import load_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from end_to_end.container_fixtures import Images

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


def test_compose_accepts_the_file_which_publishes_everything_to_this_machine_only(project: Project) -> None:
    project.compose("config", "--quiet")

    services = json.loads(project.compose("--profile", "*", "config", "--format", "json"))["services"]

    published = {name: {port.get("host_ip") for port in service.get("ports", [])} for name, service in services.items()}
    alone = {"init", "train", "replica"}
    assert {name for name, addresses in published.items() if not addresses} == alone
    assert {name for name, addresses in published.items() if addresses == {"127.0.0.1"}} == set(services) - alone


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


def test_retraining_while_load_runs_fails_no_request(project: Project) -> None:
    with load_on(project.port) as load:
        before = set(load.versions)
        project.compose("run", "--rm", "-T", "train", "--seed", "3", "--promote", "always")
        version = published_versions(project)
        assert eventually(lambda: version in load.versions, seconds=10)

    assert load.failures == []
    assert version not in before


def test_a_training_that_is_killed_leaves_the_registry_whole_and_the_service_answering(project: Project) -> None:
    before = published_versions(project), served_version(project)
    container = project.compose("run", "--detach", "train", "--trainer", "sgd", "--epochs", "100000").strip()
    assert eventually(lambda: "epoch" in project.docker("logs", container), seconds=30)

    project.docker("kill", "--signal", "KILL", container)

    assert project.docker("wait", container).strip() == "137"
    project.docker("rm", container)
    assert (published_versions(project), served_version(project)) == before
    assert "is whole" in project.inside("stature", "verify")


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


def test_the_service_writes_nowhere_but_in_its_temporary_folder(project: Project) -> None:
    for folder in ("/", "/opt/stature", "/var/lib/stature", "/var/lib/stature/registry"):
        assert "Read-only file system" in project.inside("touch", f"{folder}/anything"), folder

    assert project.inside("touch", "/tmp/anything") == ""


@pytest.mark.parametrize(("access", "status"), [("ro", 503), ("rw", 200)])
def test_an_administrator_can_promote_only_where_the_service_may_write_to_the_registry(
    access: str, status: int, empty_project: Project, images: Images
) -> None:
    made = json.loads(empty_project.docker("run", "--rm", images.serve, *"token new --scope admin --json".split()))  # noqa: SIM905 - a command line
    own = {"STATURE_REGISTRY_ACCESS": access, "STATURE_TOKENS": made["line"], "STATURE_OPEN_SCOPES": "predict,read"}
    empty_project.environment.update(own)
    empty_project.up()
    empty_project.compose("run", "--rm", "-T", "train", "--seed", "2", "--promote", "never")

    connection = http.client.HTTPConnection("127.0.0.1", empty_project.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {made['token']}"}
    with contextlib.closing(connection):
        connection.request("PUT", "/aliases/champion", json.dumps({"version": 2}), headers)
        answer = connection.getresponse()
        assert answer.status == status, answer.read()
        answer.read()

    assert eventually(lambda: served_version(empty_project) == (2 if access == "rw" else 1), 10)
    assert "Read-only file system" in empty_project.inside("touch", "/opt/stature/anything")


def test_a_request_in_flight_is_answered_after_sigterm(project: Project) -> None:
    body = json.dumps(PERSON)
    connection = http.client.HTTPConnection("127.0.0.1", project.port, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:5].encode())
    # Answered on another connection after it, so the first is in a worker's hands, or on its way there.
    assert project.request("/predict", PERSON)[0] == 200

    stopping = subprocess.Popen(("docker", "compose", "stop", "service"), cwd=project.folder, env=project.environment)
    assert eventually(lambda: "Handling signal: term" in project.compose("logs", "service"), seconds=10)
    connection.send(body[5:].encode())
    with contextlib.closing(connection), connection.getresponse() as answer:
        assert answer.status == 200
        assert json.load(answer)["model"] == "gender"
    assert stopping.wait(30) == 0
    assert project.container("service")["State"]["ExitCode"] == 0


def test_a_service_that_is_killed_comes_back_with_the_same_version(project: Project) -> None:
    version, container = served_version(project), project.container("service")
    project.crash(container["Id"])

    assert eventually(lambda: project.container("service")["State"]["StartedAt"] > container["State"]["StartedAt"], 20)
    assert eventually(lambda: project.inside("true") == "" and project.is_ready(), 20)
    assert served_version(project) == version


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
    checkout = Project(ROOT, {**engine, "COMPOSE_PROJECT_NAME": "stature-test-monitoring"}, 0, 0)
    services = json.loads(checkout.compose("--profile", "monitoring", "config", "--format", "json"))["services"]
    assert set(services) == {"init", "service", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert services[name]["image"].partition(":")[2].lstrip("v")[0].isdigit(), "a version, and not the latest"
        mounted = [volume["source"] for volume in services[name]["volumes"] if volume["type"] == "bind"]
        assert mounted
        assert all(Path(source).is_file() for source in mounted)
    unasked = json.loads(checkout.compose("config", "--format", "json"))["services"]
    assert set(unasked) == {"init", "service"}
