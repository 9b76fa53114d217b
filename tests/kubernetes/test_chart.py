"""The Helm chart without a cluster: rendered for a matrix of values, held against the API's own schemas and checkov,
and against what every pod of Stature has to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes.tools import CHART, Checkers, Helm, ToolMissingError, checkers, helm

from service.app import create_app
from service.live_models import LiveModels
from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model.registry.registry import Registry

pytestmark = pytest.mark.slow

API_VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")
"""From the oldest that Chart.yaml allows."""

DIGEST = "sha256:" + "0123456789abcdef" * 4

CAREFUL = {
    "images": {
        "serve": {"repository": "registry.example.org/stature", "digest": DIGEST},
        "train": {"repository": "registry.example.org/stature-train", "digest": DIGEST},
        "pullPolicy": "Always",
        "pullSecrets": ["registry-example-org"],
    },
    "resources": {
        "serve": {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "train": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
    },
    "retraining": {"schedule": "0 3 * * *", "arguments": ["--data", "/data/people.csv"], "dataClaim": "people"},
    "autoscaling": {"enabled": True},
    "access": {"administration": True, "tokensSecret": "stature-tokens"},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]},
}
"""Nothing left to chance: checkov has nothing to say of it."""

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "careful": CAREFUL,
    "object storage": {
        "registry": {
            "url": "s3://bucket/registries",
            "credentialsSecret": "stature-s3",
            "environment": {"AWS_REGION": "eu-central-1", "AWS_ALLOW_HTTP": "true"},
        },
        "networkPolicy": {"storagePorts": [443, 9000]},
        "retraining": {"schedule": "@daily"},
    },
    "object storage by identity, with administration": {
        "registry": {"url": "gs://bucket"},
        "serviceAccount": {"annotations": {"iam.gke.io/gcp-service-account": "stature@project.example"}},
        "access": {"administration": True, "tokensSecret": "stature-tokens"},
    },
    "object storage on AKS": {
        "registry": {"url": "az://container"},
        "serviceAccount": {"annotations": {"azure.workload.identity/client-id": DIGEST[7:39]}},
        "podLabels": {"azure.workload.identity/use": "true"},
        "retraining": {"schedule": "@daily"},
    },
    "a claim of one's own": {"registry": {"volume": {"existingClaim": "people-registry"}}},
    "one node": {
        "replicas": 1,
        "registry": {"volume": {"accessMode": "ReadWriteOnce", "storageClass": "local", "size": "500Mi"}},
    },
    "as little as possible": {
        "firstTraining": {"enabled": False},
        "disruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
    "monitoring": {
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        }
    },
    "placed": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "podAnnotations": {"example.org/team": "people"},
        "podLabels": {"app.kubernetes.io/component": "another"},
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"example.org/internal": "true"}},
        "settings": {"STATURE_POLL_SECONDS": "5", "STATURE_MAXIMUM_PEOPLE": "1000"},
    },
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name that there is not": ({"replica": 2}, "replica"),
    "a number as text": ({"replicas": "2"}, "/replicas"),
    "no replica": ({"replicas": 0}, "/replicas"),
    "a model that begins with a digit": ({"model": "2nd"}, "/model"),
    "a store that there is not": ({"registry": {"url": "ftp://bucket"}}, "/registry/url"),
    "a path in place of a store": ({"registry": {"url": "/var/registry"}}, "/registry/url"),
    "a time that cron does not know": ({"retraining": {"schedule": "daily"}}, "/retraining/schedule"),
    "a monitor without a token where one is needed": (
        {"monitoring": {"serviceMonitor": {"enabled": True}}, "access": {"tokensSecret": "stature-tokens"}},
        "/monitoring/serviceMonitor/tokenSecret",
    ),
    "administration without tokens": ({"access": {"administration": True}}, "/access/tokensSecret"),
    "a setting that is not one": ({"settings": {"POLL_SECONDS": "5"}}, "/settings"),
    "a setting that another value makes": ({"settings": {"STATURE_MODEL": "other"}}, "/settings"),
    "a setting that is a number": ({"settings": {"STATURE_POLL_SECONDS": 5}}, "/settings/STATURE_POLL_SECONDS"),
    "a digest that is none": ({"images": {"serve": {"digest": "latest"}}}, "/images/serve/digest"),
    "a port beyond the last": ({"service": {"port": 70000}}, "/service/port"),
}


@pytest.fixture(scope="module", name="helm")
def installed_helm() -> Helm:
    try:
        return helm()
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", name="checkers")
def installed_checkers() -> Checkers:
    try:
        return checkers()
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def values_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    def write(values: dict[str, Any]) -> Path:
        path = tmp_path_factory.mktemp("values") / "values.json"
        path.write_text(json.dumps(values))
        return path

    return write


@pytest.fixture(scope="module", params=MATRIX)
def manifests(
    request: pytest.FixtureRequest, helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> list[dict[str, Any]]:
    return helm.manifests(values_file(MATRIX[request.param]))


@pytest.mark.parametrize("case", MATRIX)
def test_helm_finds_nothing_to_say_of_the_chart(
    case: str, helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> None:
    outcome = helm.lint(values_file(MATRIX[case]))

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "[WARNING]" not in outcome.stdout


def test_the_schemas_of_the_api_accept_every_rendering(
    helm: Helm, checkers: Checkers, values_file: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    files, kinds = [], set()
    for number, values in enumerate(MATRIX.values()):
        rendered = helm.manifests(values_file(values))
        kinds |= {manifest["kind"] for manifest in rendered}
        # The Prometheus operator's resources are not the API's own; the test of their own below looks at them.
        known = [manifest for manifest in rendered if "monitoring.coreos.com" not in manifest["apiVersion"]]
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump_all(known))
    assert kinds == {
        *("Deployment", "Service", "ServiceAccount", "Job", "CronJob", "PersistentVolumeClaim"),
        *("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"),
    }

    for version in API_VERSIONS:
        assert checkers.validate(files, version) == [], version


def test_the_schemas_find_a_field_that_there_is_not(checkers: Checkers, helm: Helm, tmp_path: Path) -> None:
    values, file = tmp_path / "values.json", tmp_path / "manifests.yaml"
    values.write_text("{}")
    file.write_text(helm.template(values).replace("readinessProbe:", "readyProbe:"))

    (found,) = checkers.validate([file], API_VERSIONS[-1])

    assert "readyProbe" in found


def test_checkov_finds_nothing_in_the_careful_rendering(
    helm: Helm, checkers: Checkers, values_file: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(helm.template(values_file(CAREFUL)))

    outcome = checkers.check(file)

    assert outcome.returncode == 0, outcome.stdout
    assert "Failed checks: 0" in outcome.stdout or outcome.stdout.strip() == "", outcome.stdout


def test_checkov_finds_fault_with_a_pod_that_can_write_to_its_image(
    helm: Helm, checkers: Checkers, values_file: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(
        helm.template(values_file(CAREFUL)).replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    )

    outcome = checkers.check(file)

    assert outcome.returncode != 0
    assert "CKV_K8S_22" in outcome.stdout, outcome.stdout


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_cannot_be_are_refused_by_name(
    case: str, helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> None:
    values, named = REFUSED[case]

    outcome = helm.run("template", "stature", CHART, "--values", values_file(values))

    assert outcome.returncode != 0
    assert named in outcome.stderr, outcome.stderr


def test_a_release_of_another_name_has_names_of_its_own(helm: Helm) -> None:
    outcome = helm.run("template", "people", CHART, "--namespace", "people")

    names = {manifest["metadata"]["name"] for manifest in yaml.safe_load_all(outcome.stdout)}
    assert all(name.startswith("people-stature") for name in names), names


def test_every_value_is_described_by_the_schema_and_used_by_a_template() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    templates = "".join(path.read_text() for path in CHART.glob("templates/*"))

    assert set(schema["properties"]) - {"global"} == set(values)
    assert {name for name in values if f".Values.{name}" not in templates} == set()


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pod template with the kind that makes it."""
    for manifest in manifests:
        match manifest["kind"]:
            case "Deployment" | "Job":
                yield manifest["kind"], manifest["spec"]["template"]
            case "CronJob":
                yield "CronJob", manifest["spec"]["jobTemplate"]["spec"]["template"]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def test_every_pod_is_as_little_as_it_can_be(manifests: list[dict[str, Any]]) -> None:
    for kind, pod in pods(manifests):
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False, kind
        assert spec["securityContext"]["runAsNonRoot"] is True, kind
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10001, kind
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, kind
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, kind
        assert container["resources"]["limits"]["memory"], kind


def test_what_a_pod_mounts_is_there_and_what_it_has_is_mounted(manifests: list[dict[str, Any]]) -> None:
    for kind, pod in pods(manifests):
        (container,) = pod["spec"]["containers"]
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert set(volumes) == set(mounts), kind
        assert volumes["temporary"]["emptyDir"]["medium"] == "Memory"
        assert mounts["temporary"]["mountPath"] == "/tmp"


def test_the_service_reads_the_registry_only_and_what_trains_writes_it(manifests: list[dict[str, Any]]) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    (serving,) = deployment["spec"]["template"]["spec"]["containers"]
    administered = any(mount["name"] == "tokens" for mount in serving["volumeMounts"])

    for kind, pod in pods(manifests):
        (container,) = pod["spec"]["containers"]
        for mount in container["volumeMounts"]:
            if mount["name"] == "registry":
                assert mount.get("readOnly", False) is (kind == "Deployment" and not administered), kind


def test_all_pods_open_the_same_registry(manifests: list[dict[str, Any]]) -> None:
    places = set()
    for _, pod in pods(manifests):
        (container,) = pod["spec"]["containers"]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        claims = [
            volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"] if volume["name"] == "registry"
        ]
        assert bool(claims) != ("STATURE_REGISTRY" in variables), "a volume or a URL, and not both"
        sources = container.get("envFrom", [])
        places.add(str((claims, variables.get("STATURE_REGISTRY"), variables["STATURE_MODEL"], sources)))

    assert len(places) == 1


def test_who_selects_pods_finds_those_that_serve_and_no_others(manifests: list[dict[str, Any]]) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    (service,) = of_kind(manifests, "Service")
    selectors = [
        service["spec"]["selector"],
        deployment["spec"]["selector"]["matchLabels"],
        *(budget["spec"]["selector"]["matchLabels"] for budget in of_kind(manifests, "PodDisruptionBudget")),
        *(
            spread["labelSelector"]["matchLabels"]
            for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]

    for selector in selectors:
        found = [kind for kind, pod in pods(manifests) if selector.items() <= pod["metadata"]["labels"].items()]
        assert found == ["Deployment"]


def test_every_pod_has_a_network_policy_or_none_has(manifests: list[dict[str, Any]]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    if not policies:
        return

    for kind, pod in pods(manifests):
        matching = [
            policy
            for policy in policies
            if policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        ]
        assert len(matching) == 1, kind
        assert matching[0]["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert bool(matching[0]["spec"]["ingress"]) is (kind == "Deployment")


def test_a_new_pod_is_ready_before_an_old_one_goes_and_the_old_one_has_time_to_end(
    manifests: list[dict[str, Any]],
) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    from service import gunicorn_conf

    assert pod["terminationGracePeriodSeconds"] > waits + gunicorn_conf.graceful_timeout


def test_the_probes_ask_for_what_the_service_answers(manifests: list[dict[str, Any]], registry: Registry) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    client = create_app(Settings(), LiveModels(registry, 1.0)).test_client()
    probes = {
        name: container.get(f"{name}Probe", {}).get("httpGet", {}) for name in ("startup", "liveness", "readiness")
    }
    assert {probe.get("port") for probe in probes.values()} == {"http"}

    answers = {name: client.get(probe["path"]).status_code for name, probe in probes.items()}

    assert answers == {"startup": 200, "liveness": 200, "readiness": 503}, "without a model: alive, and not ready"


def no_readiness_probe(deployment: dict[str, Any]) -> None:
    del deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]


def root(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["securityContext"].update(runAsNonRoot=False, runAsUser=0)


def a_token(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] = True


def a_writable_registry(deployment: dict[str, Any]) -> None:
    for mount in deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]:
        mount.pop("readOnly", None)


def a_volume_that_is_not_mounted(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].pop()


def a_selector_that_finds_what_trains(deployment: dict[str, Any]) -> None:
    del deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]


def too_little_time_to_end(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 20


BREAKS: dict[Callable[[dict[str, Any]], None], Callable[..., None]] = {
    root: test_every_pod_is_as_little_as_it_can_be,
    a_token: test_every_pod_is_as_little_as_it_can_be,
    a_writable_registry: test_the_service_reads_the_registry_only_and_what_trains_writes_it,
    a_volume_that_is_not_mounted: test_what_a_pod_mounts_is_there_and_what_it_has_is_mounted,
    a_selector_that_finds_what_trains: test_who_selects_pods_finds_those_that_serve_and_no_others,
    too_little_time_to_end: test_a_new_pod_is_ready_before_an_old_one_goes_and_the_old_one_has_time_to_end,
}


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_deliberate_break_of_the_deployment_is_noticed(
    break_it: Callable[[dict[str, Any]], None], helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> None:
    manifests = helm.manifests(values_file({}))
    BREAKS[break_it](manifests)
    break_it(of_kind(manifests, "Deployment")[0])

    with pytest.raises(AssertionError):
        BREAKS[break_it](manifests)


def test_a_missing_probe_is_noticed(
    helm: Helm, values_file: Callable[[dict[str, Any]], Path], registry: Registry
) -> None:
    manifests = helm.manifests(values_file({}))
    no_readiness_probe(of_kind(manifests, "Deployment")[0])

    with pytest.raises(AssertionError):
        test_the_probes_ask_for_what_the_service_answers(manifests, registry)


def test_retrainings_never_overlap(helm: Helm, values_file: Callable[[dict[str, Any]], Path]) -> None:
    (job,) = of_kind(helm.manifests(values_file(CAREFUL)), "CronJob")

    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["train", "--data", "/data/people.csv"]


def test_the_first_training_is_another_job_as_soon_as_its_pod_is_another(
    helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> None:
    def name(values: dict[str, Any]) -> str:
        (job,) = of_kind(helm.manifests(values_file(values)), "Job")
        return job["metadata"]["name"]

    assert name({}) == name({"replicas": 5})
    assert name({}) != name({"images": {"train": {"tag": "0.2.0"}}})
    assert name({}) != name({"podAnnotations": {"example.org/team": "people"}})


def test_every_pod_has_the_labels_that_a_user_gives(helm: Helm, values_file: Callable[[dict[str, Any]], Path]) -> None:
    found = list(pods(helm.manifests(values_file(MATRIX["object storage on AKS"]))))

    assert sorted(kind for kind, _ in found) == ["CronJob", "Deployment", "Job"]
    assert all(pod["metadata"]["labels"]["azure.workload.identity/use"] == "true" for _, pod in found)


def test_the_autoscaler_scales_this_deployment_which_then_says_nothing_of_replicas(
    helm: Helm, values_file: Callable[[dict[str, Any]], Path]
) -> None:
    manifests = helm.manifests(values_file(CAREFUL))
    (deployment,), (scaler,) = of_kind(manifests, "Deployment"), of_kind(manifests, "HorizontalPodAutoscaler")

    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def test_prometheus_finds_the_service_and_its_port(helm: Helm, values_file: Callable[[dict[str, Any]], Path]) -> None:
    manifests = helm.manifests(values_file(MATRIX["monitoring"]))
    (monitor,), (service,) = of_kind(manifests, "ServiceMonitor"), of_kind(manifests, "Service")
    (rule,) = of_kind(manifests, "PrometheusRule")

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "stature"
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} == {"http"}
    assert monitor["metadata"]["labels"]["release"] == rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"] == yaml.safe_load((CHART / "rules.yml").read_text())


@pytest.mark.parametrize(
    ("access", "settings", "monitor", "expected"),
    [
        ({}, {}, {}, None),
        ({"tokensSecret": "stature-tokens"}, {"STATURE_OPEN_SCOPES": "predict, read"}, {}, None),
        ({"tokensSecret": "stature-tokens"}, {}, {"tokenSecret": "of-prometheus"}, "of-prometheus"),
    ],
)
def test_prometheus_has_a_token_where_one_is_needed_to_read(  # noqa: PLR0917 - fixtures
    helm: Helm,
    values_file: Callable[[dict[str, Any]], Path],
    access: dict[str, str],
    settings: dict[str, str],
    monitor: dict[str, str],
    expected: str | None,
) -> None:
    values = {"access": access, "settings": settings, "monitoring": {"serviceMonitor": {"enabled": True, **monitor}}}

    (found,) = of_kind(helm.manifests(values_file(values)), "ServiceMonitor")

    (endpoint,) = found["spec"]["endpoints"]
    token = {"credentials": {"name": expected, "key": "token"}} if expected else None
    assert endpoint.get("authorization") == token
