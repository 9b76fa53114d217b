"""Three replicas behind the Compose file's own proxy: whatever happens to one of them, no request fails."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from end_to_end.container_engine import Project, eventually
from end_to_end.load import load_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from end_to_end.container_fixtures import Images

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def replicated(
    engine: Mapping[str, str], images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """`docker compose up proxy`."""
    project = Project.create(tmp_path_factory.mktemp("replicated") / "project", engine, images.serve)
    try:
        project.up("proxy")
        yield project
    finally:
        project.remove()


@pytest.fixture
def next_image(replicated: Project, images: Images) -> Iterator[str]:
    """The image that serves with another configuration, under a tag of its own."""
    tag = f"stature:next-{uuid.uuid4().hex[:12]}"
    container = replicated.docker("create", images.serve).strip()
    replicated.docker("commit", "--change=LABEL release=next", container, tag)
    replicated.docker("tag", images.train, f"{tag}-train")
    replicated.docker("rm", container)
    yield tag
    replicated.docker("image", "rm", "--force", tag, f"{tag}-train")


def replicas(project: Project) -> list[str]:
    return project.compose("ps", "--quiet", "replica").split()


def workers(project: Project, container: str) -> list[int]:
    """The worker processes of a replica, by the numbers that this machine gives them."""
    master = project.docker("inspect", "--format", "{{.State.Pid}}", container).strip()
    return [int(child) for child in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def test_up_proxy_starts_three_replicas_and_publishes_the_proxy_alone(replicated: Project) -> None:
    assert len(replicas(replicated)) == 3
    assert replicated.compose("ps", "--quiet", "service") == ""
    published = [replicated.docker("port", replica) for replica in replicas(replicated)]
    assert published == ["", "", ""]


def test_the_proxy_is_not_root_and_writes_nowhere(replicated: Project) -> None:
    status = replicated.compose("exec", "-T", "proxy", "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())

    assert fields["Uid"].split() == ["10002"] * 4
    assert int(fields["CapPrm"], 16) == int(fields["CapBnd"], 16) == 0
    outcome = replicated.run(*"docker compose exec -T proxy touch /etc/nginx/anything".split())  # noqa: SIM905 - a command line
    assert "Read-only file system" in outcome.stderr


def test_a_retrained_version_reaches_every_replica_under_load_with_no_failed_request(
    replicated: Project, record_property: Callable[[str, object], None]
) -> None:
    with load_on(replicated.proxy_port) as load:
        trained = replicated.compose("run", "--rm", "-T", "train", "--seed", "2", "--promote", "always", "--json")
        assert '"promoted": true' in trained
        everywhere = 3 * 2  # replicas, and workers of each
        assert eventually(lambda: replicated.compose("logs", "replica").count("serving version 2 ") == everywhere, 10)

    record_property("requests answered", load.answered)
    assert load.failures == []
    assert load.versions == {1, 2}


def test_a_killed_worker_is_replaced_and_no_request_fails(
    replicated: Project, record_property: Callable[[str, object], None]
) -> None:
    replica = replicas(replicated)[0]
    before = workers(replicated, replica)
    with load_on(replicated.proxy_port) as load:
        for worker in before:
            os.kill(worker, signal.SIGKILL)
            load.goes_on()
        assert eventually(lambda: len(set(workers(replicated, replica)) - set(before)) == len(before), 20)

    record_property("requests answered", load.answered)
    assert load.failures == []


def test_two_of_three_replicas_are_killed_and_come_back_and_no_request_fails(
    replicated: Project, record_property: Callable[[str, object], None]
) -> None:
    three = replicas(replicated)
    with load_on(replicated.proxy_port) as load:
        for replica in three[:2]:
            replicated.crash(replica)
            load.goes_on()
        states = ["1 healthy", "1 healthy", "0 healthy"]
        assert eventually(lambda: [restarts_and_health(replicated, replica) for replica in three] == states, 40)

    record_property("requests answered", load.answered)
    assert load.failures == []


def restarts_and_health(project: Project, container: str) -> str:
    return project.docker("inspect", "--format", "{{.RestartCount}} {{.State.Health.Status}}", container).strip()


def test_a_new_image_is_rolled_through_three_replicas_under_load_with_no_failed_request(
    replicated: Project, next_image: str, record_property: Callable[[str, object], None]
) -> None:
    old = replicas(replicated)
    replicated.environment["STATURE_IMAGE"] = next_image
    with load_on(replicated.proxy_port) as load:
        replicated.up("--no-recreate", "--scale", "replica=6", "replica")
        load.goes_on()
        replicated.docker("stop", *old)
        replicated.docker("rm", *old)

    record_property("requests answered", load.answered)
    assert load.failures == []
    rolled = replicas(replicated)
    assert len(rolled) == 3
    for replica in rolled:
        assert replicated.docker("inspect", "--format", "{{.Config.Image}}", replica).strip() == next_image
        assert restarts_and_health(replicated, replica) == "0 healthy"
