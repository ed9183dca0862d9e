"""The Kubernetes files: every rendered document is valid, keeps what the service promises, and fits the image."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hooks import workers
from hooks.app import create_app
from hooks.cli import main
from hooks.settings import Settings, Storage
from tests.support.deployed import (
    DEPLOY,
    OPERATOR,
    PASSWORD_IN_URL,
    SECRET_SETTINGS,
    SECRETS,
    Json,
    data_folder,
    in_dockerfile,
    started,
    undocumented,
    write_secrets,
)

KUBERNETES = DEPLOY / "kubernetes"
ONE_NODE, CLUSTER = "one-node", "cluster"
OLDEST = "1.27"  # as the operator's page says
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
_GIGABYTE = 1024**3

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")


@pytest.fixture(params=[ONE_NODE, CLUSTER])
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def rendered(overlay: str) -> list[Json]:
    return render(KUBERNETES / "overlays" / overlay)


def render(folder: Path) -> list[Json]:
    printed = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True)  # noqa: S607 -- found above
    return list(yaml.safe_load_all(printed.stdout))


def of_kind(documents: list[Json], *kinds: str) -> list[Json]:
    return [document for document in documents if document["kind"] in kinds]


def the(documents: list[Json], *kinds: str) -> Json:
    (found,) = of_kind(documents, *kinds)
    return found


def service(overlay: str) -> Json:
    """What runs the service."""
    return the(rendered(overlay), "Deployment", "StatefulSet")


def pods(overlay: str) -> list[Json]:
    """The templates of all pods; the service's is the first."""
    workloads = sorted(of_kind(rendered(overlay), *WORKLOADS), key=lambda workload: workload["kind"] == "Job")
    return [workload["spec"]["template"] for workload in workloads]


def container(pod: Json) -> Json:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def environment(overlay: str) -> dict[str, str]:
    """What the service is told in the open."""
    one = container(pods(overlay)[0])
    (source,) = one["envFrom"]
    told = config_map(overlay, source["configMapRef"]["name"])
    return {**told, **{entry["name"]: entry["value"] for entry in one["env"] if "value" in entry}}


def config_map(overlay: str, name: str) -> dict[str, str]:
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(rendered(overlay), "ConfigMap")}
    return dict(maps[name])


def test_every_document_is_one_that_the_oldest_and_the_newest_kubernetes_takes(overlay: str) -> None:
    assert len(rendered(overlay)) > len(WORKLOADS)
    for document in rendered(overlay):
        for kubernetes in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(document, kubernetes, strict=True)
    assert f"Kubernetes {OLDEST}" in OPERATOR


def test_no_pod_may_more_than_the_restricted_standard_of_kubernetes_allows(overlay: str) -> None:
    user, _, group = in_dockerfile("USER").partition(":")
    for pod in pods(overlay):
        spec, context = pod["spec"], pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}} <= {
            "configMap",
            "secret",
            "emptyDir",
            "persistentVolumeClaim",
        }
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_no_pod_can_speak_to_kubernetes(overlay: str) -> None:
    account = the(rendered(overlay), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for pod in pods(overlay):
        assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False


def test_every_pod_asks_for_what_it_needs_and_has_a_bound_of_memory(overlay: str) -> None:
    for pod in pods(overlay):
        resources = container(pod)["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}
        # A limit of the processor would slow answers down.
        assert resources["limits"].keys() == {"memory"}


def test_no_secret_stands_in_a_manifest(overlay: str) -> None:
    assert of_kind(rendered(overlay), "Secret") == []
    assert PASSWORD_IN_URL.search(json.dumps(rendered(overlay))) is None
    told = [*environment(overlay), *(entry["name"] for pod in pods(overlay) for entry in literal(container(pod)))]
    assert set(told) & SECRET_SETTINGS == set()


def literal(one: Json) -> list[Json]:
    return [entry for entry in one["env"] if "value" in entry]


def test_every_secret_that_is_referred_to_is_one_that_an_operator_is_told_to_make(overlay: str) -> None:
    for pod in pods(overlay):
        one = container(pod)
        (volume,) = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        (folder,) = [mount["mountPath"] for mount in one["volumeMounts"] if mount["name"] == "secrets"]
        files = {entry["value"] for entry in literal(one) if entry["value"].startswith(f"{folder}/")}
        assert files
        required = {file.removeprefix(f"{folder}/") for file in files}
        assert required <= SECRETS.keys()
        references = [entry["valueFrom"]["secretKeyRef"] for entry in one["env"] if "valueFrom" in entry]
        assert all(reference["optional"] for reference in references)
        assert {volume["secretName"], *(reference["name"] for reference in references)} == {"lenalidomide-cds"}
        for name in {*required, *(reference["key"] for reference in references)}:
            assert f"--from-file={name}" in OPERATOR


def test_every_setting_is_one_of_the_service(overlay: str) -> None:
    named = {entry["name"] for pod in pods(overlay) for entry in container(pod)["env"]} | set(environment(overlay))
    assert named
    assert undocumented(named) == set()


def test_a_service_starts_with_what_it_is_given(overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = started(environment(overlay), mounted(overlay, tmp_path), monkeypatch)
    storage = settings.storage
    assert storage is not None
    assert not settings.open_mode
    assert storage.folder == tmp_path / "data"
    assert storage.pseudonym_key == SECRETS["pseudonym-key"]
    if overlay == CLUSTER:
        assert storage.database_url == SECRETS["database-url"]
        assert settings.tokens.redis_url == SECRETS["redis-url"]
        assert not storage.migrates
    else:
        assert storage.database_url.startswith(f"sqlite:///{tmp_path / 'data'}/")
        assert settings.tokens.redis_url is None
        assert storage.migrates


def mounted(overlay: str, tmp_path: Path) -> dict[str, Path]:
    """The folders of the service's container, here."""
    pod = pods(overlay)[0]
    paths = {mount["name"]: mount["mountPath"] for mount in container(pod)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    (tmp_path / "files").mkdir()
    for name, text in config_map(overlay, volumes["files"]["configMap"]["name"]).items():
        (tmp_path / "files" / name).write_text(text, encoding="utf-8")
    secrets = write_secrets(tmp_path / "secrets")
    return {paths["files"]: tmp_path / "files", paths["secrets"]: secrets, paths["data"]: tmp_path / "data"}


def test_the_image_is_that_of_this_version_for_all_pods(overlay: str) -> None:
    assert {container(pod)["image"] for pod in pods(overlay)} == {f"lenalidomide-cds:{version('lenalidomide-cds')}"}


def test_the_probes_ask_pages_that_the_service_has_and_a_degraded_service_stays_in_rotation(overlay: str) -> None:
    one = container(pods(overlay)[0])
    asked = {kind: one[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    http = create_app(Settings()).test_client()
    assert {path: http.get(path).status_code for path in asked.values()} == {"/healthz": 200, "/readyz": 200}
    assert {one[kind]["httpGet"]["port"] for kind in asked} == {"http"}
    assert one["ports"] == [{"name": "http", "containerPort": int(in_dockerfile("EXPOSE"))}]


def test_what_names_pods_names_the_right_ones(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(overlay)]
    spec = service(overlay)["spec"]
    of_service = [
        the(rendered(overlay), "Service")["spec"]["selector"],
        the(rendered(overlay), "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        spec["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in spec["template"]["spec"]["topologySpreadConstraints"]),
    ]
    for selector in of_service:
        assert [selector.items() <= one.items() for one in labels] == [True, *([False] * (len(labels) - 1))]
    for policy in of_kind(rendered(overlay), "NetworkPolicy"):
        assert all(policy["spec"]["podSelector"]["matchLabels"].items() <= one.items() for one in labels)


def test_what_names_other_documents_names_some_that_exist(overlay: str) -> None:
    documents = rendered(overlay)
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    named = {("ConfigMap", config_map_name) for config_map_name in config_maps(overlay)}
    named |= {
        (one["spec"]["scaleTargetRef"]["kind"], one["spec"]["scaleTargetRef"]["name"])
        for one in of_kind(documents, "HorizontalPodAutoscaler")
    }
    backend = the(documents, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert {*named, ("Service", backend["name"])} <= names
    (port,) = the(documents, "Service")["spec"]["ports"]
    assert backend["port"]["name"] == port["name"]
    assert port["targetPort"] == "http"
    assert {document["metadata"]["namespace"] for document in documents} == {"lenalidomide-cds"}


def config_maps(overlay: str) -> set[str]:
    spec = pods(overlay)[0]["spec"]
    sources = [source["configMapRef"]["name"] for source in container(pods(overlay)[0])["envFrom"]]
    return {*sources, *(volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume)}


def test_only_the_services_are_published_over_tls_and_under_the_address_that_tokens_name(overlay: str) -> None:
    spec = the(rendered(overlay), "Ingress")["spec"]
    (rule,), (tls,) = spec["rules"], spec["tls"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/cds-services"]
    assert tls["hosts"] == [rule["host"]]
    assert environment(overlay)["CDS_PUBLIC_URL"] == f"https://{rule['host']}"


def test_only_the_proxy_and_the_monitoring_reach_a_pod_and_a_pod_reaches_only_what_it_needs(overlay: str) -> None:
    policies = [policy["spec"] for policy in of_kind(rendered(overlay), "NetworkPolicy")]
    ways_in = [rule for policy in policies for rule in policy.get("ingress", ())]
    (way_in,) = ways_in
    assert [peer["namespaceSelector"]["matchLabels"] for peer in way_in["from"]] == [
        {"kubernetes.io/metadata.name": "ingress-nginx"},
        {"kubernetes.io/metadata.name": "monitoring"},
    ]
    assert [port["port"] for port in way_in["ports"]] == ["http"]
    assert {kind for policy in policies for kind in policy["policyTypes"]} == {"Ingress", "Egress"}
    ways_out = [rule for policy in policies for rule in policy["egress"]]
    ports = {port["port"] for rule in ways_out for port in rule["ports"]}
    assert ports == ({53, 443, 5432, 6379} if overlay == CLUSTER else {53, 443})


def test_a_pod_that_stops_has_the_time_to_answer_and_to_write_what_waits(overlay: str) -> None:
    spec = pods(overlay)[0]["spec"]
    *_, pause = container(pods(overlay)[0])["lifecycle"]["preStop"]["exec"]["command"]
    seconds = float(pause.partition("sleep(")[2].rstrip(")"))
    assert seconds > 0
    assert spec["terminationGracePeriodSeconds"] > seconds + workers._GRACE


def test_the_spool_lies_on_a_disk_that_outlives_the_pod(overlay: str) -> None:
    paths = {mount["mountPath"]: mount["name"] for mount in container(pods(overlay)[0])["volumeMounts"]}
    name = paths[data_folder()]
    claim = the_claim(overlay, name)
    assert claim["accessModes"] == ["ReadWriteOnce"]
    # Some workers with a spool each, and as much again for what those that died have left.
    assert size(claim["resources"]["requests"]["storage"]) >= 4 * Storage(Path(), "").spool_bytes


def the_claim(overlay: str, volume: str) -> Json:
    spec = service(overlay)["spec"]
    if overlay == CLUSTER:
        (template,) = spec["volumeClaimTemplates"]
        assert template["metadata"]["name"] == volume
        assert volume not in {one["name"] for one in spec["template"]["spec"]["volumes"]}
        return dict(template["spec"])
    (mounted,) = [one for one in spec["template"]["spec"]["volumes"] if one["name"] == volume]
    claim = the(rendered(overlay), "PersistentVolumeClaim")
    assert mounted["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    return dict(claim["spec"])


def size(quantity: str) -> int:
    return int(quantity.removesuffix("Gi")) * _GIGABYTE


def test_sqlite_is_never_opened_by_two_pods() -> None:
    spec = service(ONE_NODE)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert of_kind(rendered(ONE_NODE), "HorizontalPodAutoscaler") == []


def test_the_number_of_replicas_is_left_to_the_autoscaler_and_is_never_one() -> None:
    assert "replicas" not in service(CLUSTER)["spec"]
    assert the(rendered(CLUSTER), "HorizontalPodAutoscaler")["spec"]["minReplicas"] > 1
    assert the(rendered(CLUSTER), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_in_a_cluster_the_schema_is_made_by_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    job = container(pods(CLUSTER)[1])
    with pytest.raises(SystemExit) as ended:
        main([*job["args"], "--help"])
    assert ended.value.code == 0
    assert "usage: lenalidomide-cds migrate" in capsys.readouterr().out
    assert job["env"][-1] == {"name": "DATABASE_URL_FILE", "value": environment(CLUSTER)["DATABASE_URL_FILE"]}


def test_without_disks_the_cluster_is_a_deployment_of_which_no_pod_goes_before_the_next_is_there(
    tmp_path: Path,
) -> None:
    """As the operator's page describes it for clusters that have no disks to give."""
    copy = shutil.copytree(KUBERNETES, tmp_path / "kubernetes") / "overlays" / CLUSTER
    edit(copy / "kustomization.yaml", lambda text: text[: text.index("patchesJson6902:")])
    edit(copy / "horizontalpodautoscaler.yaml", lambda text: text.replace("StatefulSet", "Deployment"))
    documents = render(copy)
    spec = the(documents, "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert [volume for volume in spec["template"]["spec"]["volumes"] if "emptyDir" in volume] != []
    assert the(documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["kind"] == "Deployment"
    for document in documents:
        kubernetes_validate.validate(document, OLDEST, strict=True)


def edit(file: Path, change: Any) -> None:
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
