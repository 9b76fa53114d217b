"""The Compose file over an object store in place of the volume: an S3 server that the containers reach by network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from end_to_end.container_engine import Project, eventually
from end_to_end.load import load_on
from stores.moto_s3 import moto_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def on_object_store(empty_project: Project, tmp_path: Path) -> Iterator[Project]:
    """A project whose registry is a bucket, as docs/containers.md says, on the engine's side of this machine."""
    network = empty_project.environment["COMPOSE_PROJECT_NAME"]
    empty_project.docker("network", "create", network)
    try:
        address = empty_project.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
        with moto_s3(tmp_path, address.strip()) as store:
            environment = {"STATURE_REGISTRY": f"{store.root}/registries", **store.environment}
            override = {
                "services": {name: {"environment": environment} for name in ("init", "service", "train")},
                "networks": {"default": {"name": network, "external": True}},
            }
            empty_project.folder.joinpath("docker-compose.override.yml").write_text(json.dumps(override))
            yield empty_project
            empty_project.remove()
    finally:
        empty_project.docker("network", "rm", network)


def test_an_object_store_is_the_registry_and_a_retraining_under_load_fails_no_request(on_object_store: Project) -> None:
    on_object_store.up()
    volume = on_object_store.inside("ls", "/var/lib/stature/registry")

    with load_on(on_object_store.port) as load:
        on_object_store.compose("run", "--rm", "-T", "train", "--seed", "2", "--promote", "always")
        assert eventually(lambda: 2 in load.versions, 20)

    assert load.failures == []
    assert volume == "", "nothing of it is on the volume"
    assert "is whole: 2 versions" in on_object_store.inside("stature", "verify")
    assert "does what a registry needs" in on_object_store.inside("stature", "doctor")
