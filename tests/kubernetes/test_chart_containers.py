"""Where no cluster can be run: the chart's very containers, with their commands, variables, users, probes and volumes,
on a container engine. What Kubernetes would do, the test does: it runs the jobs, asks the probes and ends the pods."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from end_to_end.container_engine import ROOT, Project, eventually
from kubernetes.tools import ToolMissingError, helm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from end_to_end.container_fixtures import Images

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "model" / "data" / "nhanes_2009_2012_sample.csv"
VALUES = {
    "retraining": {
        "schedule": "0 3 * * *",
        "arguments": ["--data", "/data/people.csv", "--promote", "always"],
        "dataClaim": "people",
    },
    "settings": {"STATURE_POLL_SECONDS": "0.2"},
}


def service_of(pod: dict[str, Any], published: int | None, folder: Path) -> dict[str, Any]:
    """A pod with one container as a service of Compose: field by field, and a field that is not known is an error."""
    container = dict(pod["containers"][0])
    security, own = pod["securityContext"], container.pop("securityContext")
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    sources = {volume["name"]: volume for volume in pod["volumes"]}
    volumes, temporary = [], []
    for mount in container.pop("volumeMounts"):
        source = sources[mount["name"]]
        if "emptyDir" in source:
            assert source["emptyDir"]["medium"] == "Memory"
            temporary.append(mount["mountPath"])
        else:
            claim = source["persistentVolumeClaim"]["claimName"]
            kind = "ro" if mount.get("readOnly") else "rw"
            place = str(folder / "data") if claim == "people" else "registry"
            volumes.append(f"{place}:{mount['mountPath']}:{kind}")
    service = {
        "image": container.pop("image"),
        "command": container.pop("args"),
        "environment": {variable["name"]: variable["value"] for variable in container.pop("env")},
        "user": f"{security['runAsUser']}:{security['runAsGroup']}",
        "read_only": own["readOnlyRootFilesystem"],
        "cap_drop": own["capabilities"]["drop"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": container.pop("resources")["limits"]["memory"].replace("i", "").lower(),
        "tmpfs": temporary,
        "volumes": volumes,
        "stop_grace_period": f"{pod.get('terminationGracePeriodSeconds', 30)}s",
        # The pod's probes decide; the image's own check is Docker's.
        "healthcheck": {"disable": True},
    }
    for port in container.pop("ports", []):
        service["ports"] = [f"127.0.0.1:{published}:{port['containerPort']}"]
    assert set(container) <= {
        *("name", "imagePullPolicy", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle")
    }, container
    return service


class Pods:
    """The chart's deployment, first training and retraining, as Compose knows them."""

    def __init__(self, project: Project, manifests: list[dict[str, Any]]) -> None:
        self.project = project
        by_kind = {manifest["kind"]: manifest for manifest in manifests}
        templates = {
            "serve": by_kind["Deployment"]["spec"]["template"]["spec"],
            "first": by_kind["Job"]["spec"]["template"]["spec"],
            "again": by_kind["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        }
        (self.container,) = templates["serve"]["containers"]
        services = {
            name: service_of(template, project.port if name == "serve" else None, project.folder)
            for name, template in templates.items()
        }
        document = {"services": services, "volumes": {"registry": None}}
        project.folder.joinpath("docker-compose.yml").write_text(json.dumps(document))

    def probe(self, name: str) -> bool:
        """One look of the kubelet."""
        probe = self.container[f"{name}Probe"]
        url = f"http://127.0.0.1:{self.project.port}{probe['httpGet']['path']}"
        try:
            with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]) as answer:
                return 200 <= answer.status < 400
        except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException):
            return False

    def succeeds(self, name: str) -> bool:
        """A probe as the kubelet repeats it, until it succeeds or fails for good."""
        probe = self.container[f"{name}Probe"]
        return eventually(lambda: self.probe(name), probe["periodSeconds"] * probe["failureThreshold"])


@pytest.fixture
def pods(engine: Mapping[str, str], images: Images, tmp_path: Path) -> Iterator[Pods]:
    try:
        renderer = helm()
    except ToolMissingError as error:
        pytest.skip(str(error))
    repository, _, tag = images.serve.partition(":")
    named = {
        name: {"repository": repository, "tag": f"{tag}{suffix}"}
        for name, suffix in (("serve", ""), ("train", "-train"))
    }
    values = tmp_path / "values.json"
    values.write_text(json.dumps({**VALUES, "images": {**named, "pullPolicy": "Never"}}))
    project = Project.create(tmp_path / "project", engine, images.serve)
    try:
        yield Pods(project, renderer.manifests(values))
    finally:
        project.remove()


def test_the_pods_of_the_chart_live_as_a_cluster_would_have_them(pods: Pods) -> None:
    project = pods.project
    project.compose("up", "--detach", "serve")
    assert pods.succeeds("startup")
    assert pods.probe("liveness")
    assert not pods.probe("readiness"), "before the first training"

    project.compose("run", "--rm", "-T", "first")
    assert pods.succeeds("readiness")
    assert "has a champion already" in project.compose("run", "--rm", "-T", "first"), "a second time it trains nothing"
    status, answer = project.request("/predict", {"weight_kg": 73, "height_cm": 182})
    assert (status, answer["model_version"]) == (200, 1)

    people = SAMPLE.read_text().splitlines(keepends=True)[:2001]
    project.folder.joinpath("data", "people.csv").write_text("".join(people))
    project.compose("run", "--rm", "-T", "again")
    assert eventually(lambda: project.request("/readyz")[1].get("model_version") == 2, 10), "the settings say how often"

    assert "Read-only file system" in pods_say(pods, "touch", "/var/lib/stature/registry/anything")
    assert "Read-only file system" in pods_say(pods, "touch", "/opt/stature/anything")
    assert pods_say(pods, "touch", "/tmp/anything") == ""
    assert pods_say(pods, "id", "-u").strip() == "10001"

    started = time.monotonic()
    assert pods_say(pods, *pods.container["lifecycle"]["preStop"]["exec"]["command"]) == ""
    assert pods.probe("readiness"), "it answers until it is told to end"
    project.compose("stop", "serve")
    assert time.monotonic() - started < 30, "the grace period covers both"
    assert project.container("serve")["State"]["ExitCode"] == 0


def pods_say(pods: Pods, *command: str) -> str:
    outcome = pods.project.run("docker", "compose", "exec", "-T", "serve", *command)
    return outcome.stdout + outcome.stderr
