"""The manifests of ``docker/kubernetes``: rendered, valid, and in agreement with each other."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import promql_parser
import pytest
from ruamel.yaml import YAML

from fakes.command_tree import commands, options
from fakes.places import ROOT
from smlm_pipeline import contract
from smlm_pipeline.deploy.memory_pools import sizes
from smlm_pipeline.gate.counts import Counts
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.serving import metrics

KUBERNETES = ROOT / "docker" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "mig")
NEXT, GATED, NEXT_GATED = (f"overlays/gpu-{name}" for name in ("next", "gate", "next-gate"))
BESIDE = (NEXT, GATED, NEXT_GATED)
FOLDERS = (*(f"overlays/{name}" for name in OVERLAYS), *BESIDE, "films", "films-gate", "monitoring")
VERSIONS = ("1.31", "1.37")
"""Of Kubernetes: the oldest that knows all fields, and the newest whose schema is at hand."""

OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, whose schemas are not Kubernetes'."""

TRITON_BASE_BYTES = 2 << 30
"""The server itself, the stubs with CuPy or OpenVINO, and pinned memory, by a generous estimate."""

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl, which renders the manifests"
)

each_folder = pytest.mark.parametrize("folder", FOLDERS)
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@functools.cache
def _rendered(folder: str) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(YAML(typ="safe").load_all(done.stdout))


def _only(folder: str, kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = (
        each
        for each in _rendered(folder)
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    )
    return found


def _server(overlay: str) -> dict[str, Any]:
    pod: dict[str, Any] = _only(f"overlays/{overlay}", "Deployment")["spec"]["template"]["spec"]
    return pod


def _pods() -> Iterator[dict[str, Any]]:
    """Templates of all pods."""
    for folder in FOLDERS:
        for each in _rendered(folder):
            if each["kind"] in ("Deployment", "Job"):
                yield each["spec"]["template"]


def _bytes(quantity: str) -> int:
    return parse_bytes(quantity.replace("i", "iB"))


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container["env"]}


# --- validity -------------------------------------------------------------------------------


@each_folder
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_kubernetes_says(folder: str, version: str) -> None:
    ours = [each for each in _rendered(folder) if each["kind"] not in OF_THE_OPERATOR]
    assert ours
    for manifest in ours:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_field_would_be_found() -> None:
    wrong = {**_only("overlays/cpu", "Service"), "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@each_folder
def test_all_is_in_one_namespace(folder: str) -> None:
    for each in _rendered(folder):
        if each["kind"] not in ("Namespace", "PriorityClass"):
            assert each["metadata"]["namespace"] == "recon", each["metadata"]["name"]


# --- rights ---------------------------------------------------------------------------------


def test_pods_have_no_more_rights_than_they_need() -> None:
    """As the standard "restricted" asks for, to which the namespace holds them, and more."""
    pods = [*_pods()]
    assert len(pods) == len(OVERLAYS) + 1 + 2 + 2 + 3 + 3, (
        "servers, those of a second network, of gates, films, those through a gate"
    )
    for pod in (template["spec"] for template in pods):
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() >= {"memory", "ephemeral-storage"}
    labels = _only("overlays/cpu", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_an_image_that_nobody_set_is_not_pulled() -> None:
    """``invalid`` is a name that never exists (RFC 2606)."""
    images = {template["spec"]["containers"][0]["image"] for template in _pods()}
    assert images == {f"recon.invalid/smlm-recon-{name}" for name in ("server", "client")}


def test_what_a_server_writes_to_is_mounted() -> None:
    text = (ROOT / "docker" / "server" / "Dockerfile").read_text()
    for overlay in OVERLAYS:
        (container,) = _server(overlay)["containers"]
        mounted = {each["mountPath"] for each in container["volumeMounts"]}
        assert {"/dev/shm", "/tmp"} < mounted  # noqa: S108 - of the container
        for name in ("RECON_RUN", "CUPY_CACHE_DIR"):
            (path,) = re.findall(rf"{name}=(\S+)", text)
            assert any(path.startswith(mount) for mount in mounted), path
        if overlay != "cpu":
            assert _variables(container)["RECON_PLAN_CACHE"] in mounted


# --- agreement ------------------------------------------------------------------------------


@each_overlay
def test_selectors_select(overlay: str) -> None:
    folder = f"overlays/{overlay}"
    labels = _only(folder, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert _only(folder, kind)["spec"]["selector"]["matchLabels"].items() <= labels
    service = _only(folder, "Service")
    assert service["spec"]["selector"].items() <= labels
    assert service["spec"]["clusterIP"] == "None", "a client finds all servers"
    spread = _server(overlay)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    assert spread.items() <= labels
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in _rendered(folder)
        if each["kind"] == "NetworkPolicy"
    }
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    server = policies["server"]["podSelector"]["matchLabels"]
    assert server.items() <= labels
    new = _only(NEXT, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert server.items() <= new
    client = policies["client"]["podSelector"]["matchLabels"]
    assert policies["server"]["ingress"][0]["from"] == [{"podSelector": {"matchLabels": client}}]
    for job in (each for each in _rendered("films") if each["kind"] == "Job"):
        assert client.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    (chosen,) = _only("monitoring", "ServiceMonitor")["spec"]["selector"]["matchExpressions"]
    monitored = {chosen["key"]: chosen["values"][0]}
    assert chosen["values"] == ["server", "gate"]
    assert monitored.items() <= service["metadata"]["labels"].items()
    scaled = _only("monitoring", "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert scaled["name"] == _only(folder, "Deployment")["metadata"]["name"]


def test_servers_of_two_networks_share_nothing_but_their_plans() -> None:
    """A film that met both would have no image."""
    old, new = _rendered("overlays/gpu"), _rendered(NEXT)
    named = [{(each["kind"], each["metadata"]["name"]) for each in part} for part in (old, new)]
    assert named[1] == {
        ("Deployment", "recon-2"),
        ("Service", "recon-2"),
        ("PodDisruptionBudget", "recon-2"),
    }
    assert not named[0] & named[1]
    for one, other in (("overlays/gpu", NEXT), (NEXT, "overlays/gpu")):
        labels = _only(one, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
        assert _only(one, "Service")["spec"]["selector"].items() <= labels
        for kind in ("Deployment", "PodDisruptionBudget"):
            assert not _only(other, kind)["spec"]["selector"]["matchLabels"].items() <= labels
        assert not _only(other, "Service")["spec"]["selector"].items() <= labels
    volumes = _only(NEXT, "Deployment")["spec"]["template"]["spec"]["volumes"]
    claims = {
        each["persistentVolumeClaim"]["claimName"]
        for each in volumes
        if "persistentVolumeClaim" in each
    }
    assert claims == {_only("overlays/gpu", "PersistentVolumeClaim")["metadata"]["name"]}


@each_overlay
def test_ports_agree(overlay: str) -> None:
    (container,) = _server(overlay)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"grpc": contract.GRPC_PORT, "metrics": 8002}
    exposed = re.findall(
        r"^EXPOSE (.+)$", (ROOT / "docker" / "server" / "Dockerfile").read_text(), re.MULTILINE
    )
    assert exposed == [" ".join(map(str, ports.values()))]
    service = _only(f"overlays/{overlay}", "Service")
    assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == ports
    assert container["livenessProbe"]["grpc"]["port"] == ports["grpc"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"][-1] == f"127.0.0.1:{ports['grpc']}"
    address = _only("films", "ConfigMap")["data"]["RECON_SERVER"]
    assert address == f"{service['metadata']['name']}:{ports['grpc']}"
    assert _only("monitoring", "ServiceMonitor")["spec"]["endpoints"][0]["port"] == "metrics"


@each_overlay
def test_a_server_ends_its_requests_before_it_is_killed(overlay: str) -> None:
    pod = _server(overlay)
    (container,) = pod["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    text = (ROOT / "docker" / "server" / "recon-server").read_text()
    (exit_s,) = re.findall(r"--exit-timeout-secs=(\d+)", text)
    assert pause_s >= 10, "until no client finds it"
    assert pod["terminationGracePeriodSeconds"] > pause_s + int(exit_s)


@each_overlay
def test_memory_is_enough_for_pools_and_shared_memory(overlay: str) -> None:
    pod = _server(overlay)
    (container,) = pod["containers"]
    (shm,) = (each["emptyDir"] for each in pod["volumes"] if each["name"] == "shm")
    shm_bytes = _bytes(shm["sizeLimit"])
    assert shm["medium"] == "Memory"
    assert shm_bytes >= sizes(list(contract.ENSEMBLES)).shm_total_bytes
    limit_bytes = _bytes(container["resources"]["limits"]["memory"])
    assert limit_bytes >= shm_bytes + TRITON_BASE_BYTES


def test_a_first_start_may_take_half_an_hour() -> None:
    for overlay in OVERLAYS:
        (container,) = _server(overlay)["containers"]
        probe = container["startupProbe"]
        start_s = probe["periodSeconds"] * probe["failureThreshold"]
        assert start_s >= 1800
        assert (
            _only(f"overlays/{overlay}", "Deployment")["spec"]["progressDeadlineSeconds"] > start_s
        )
        assert container["readinessProbe"]["exec"] == probe["exec"]


def test_a_server_has_one_device() -> None:
    for overlay, device in (("gpu", "nvidia.com/gpu"), ("mig", "nvidia.com/mig-1g.10gb")):
        (container,) = _server(overlay)["containers"]
        devices = {
            name: count
            for name, count in container["resources"]["limits"].items()
            if name.startswith("nvidia.com/")
        }
        assert devices == {device: "1"}
        assert _variables(container)["RECON_DEVICE"] == "gpu"
        quota = _only(f"overlays/{overlay}", "ResourceQuota")["spec"]["hard"]
        assert [name for name in quota if "nvidia" in name] == [f"requests.{device}"]
    assert _variables(_server("mig")["containers"][0])["RECON_LARGEST_TILE_PX"] == "256"
    assert _variables(_server("cpu")["containers"][0])["RECON_DEVICE"] == "cpu"


# --- films ----------------------------------------------------------------------------------


def test_films_call_the_client_as_it_is() -> None:
    known = {
        name: {option for each in options(command) for option in each.opts}
        for name, command in commands("recon-client").items()
    }
    jobs = [each for each in _rendered("films") if each["kind"] == "Job"]
    assert {job["metadata"]["name"] for job in jobs} == {"film", "long-film", "merge"}
    for job in jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        command, *arguments = container["args"]
        asked = {each.split("=")[0] for each in arguments if each.startswith("-")}
        assert asked <= known[f"recon-client {command}"]
        assert command == "merge" or "--resume" in asked
        named = set(re.findall(r"\$\((\w+)\)", " ".join(arguments)))
        assert named == {each["name"] for each in container["env"]}
        (memory,) = (each for each in arguments if each.startswith("--memory="))
        limit_bytes = _bytes(container["resources"]["limits"]["memory"])
        assert parse_bytes(memory.split("=")[1]) <= 0.75 * limit_bytes


def test_parts_are_as_many_as_pods() -> None:
    job = _only("films", "Job", "long-film")["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert _variables(container)["PARTS"] == str(job["completions"])
    (merge,) = _only("films", "Job", "merge")["spec"]["template"]["spec"]["containers"]
    assert _variables(merge)["FOLDER"] == _variables(container)["FOLDER"]


def test_priorities_put_a_person_before_the_night() -> None:
    values = {
        each["metadata"]["name"]: each["value"]
        for each in _rendered("overlays/cpu")
        if each["kind"] == "PriorityClass"
    }
    assert values["recon-server"] > values["recon-person"] > values["recon-night"]
    assert {template["spec"]["priorityClassName"] for template in _pods()} <= set(values)


# --- alerts ---------------------------------------------------------------------------------


def _rules() -> list[dict[str, Any]]:
    (group,) = _only("monitoring", "PrometheusRule")["spec"]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_alerts_say_what_to_do() -> None:
    alerts = [rule for rule in _rules() if "alert" in rule]
    assert len(alerts) == 7
    for rule in alerts:
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
    tests = (KUBERNETES / "monitoring" / "rules_test.yaml").read_text()
    names = {rule["alert"] for rule in alerts}
    assert names == set(re.findall(r"alertname: (\w+)", tests))
    page = (ROOT / "docs" / "cluster" / "kubernetes.md").read_text()
    assert names == set(re.findall(r"^\| `(Recon\w+)` \|", page, re.MULTILINE))


def test_expressions_name_metrics_that_exist() -> None:
    text = " ".join(rule["expr"] for rule in _rules())
    for rule in _rules():
        promql_parser.parse(rule["expr"])
    counted = {metrics.HOST_INPUTS, "recon_gate_requests_total"}
    assert set(re.findall(r"\brecon_\w+_total\b", text)) == counted
    counts = Counts()
    counts.refused("ada", "UNAVAILABLE")
    assert 'recon_gate_requests_total{client="ada",code="UNAVAILABLE"} 1' in counts.as_text([])
    scaled = _only("monitoring", "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]
    assert scaled["name"] in {rule.get("record") for rule in _rules()}
    summed = "|".join(
        model.name for model in contract.MODELS if model.name not in contract.ENSEMBLES
    )
    (pattern, *_) = re.findall(r'model=~"(.+?)"', text)
    assert all(re.fullmatch(pattern, name) for name in summed.split("|"))
    assert not any(re.fullmatch(pattern, name) for name in contract.ENSEMBLES), "has no queue"


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool (on Debian: apt-get install prometheus)"
)
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    YAML(typ="safe").dump(_only("monitoring", "PrometheusRule")["spec"], tmp_path / "rules.yaml")
    shutil.copy(KUBERNETES / "monitoring" / "rules_test.yaml", tmp_path)
    for asked in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run(
            ["promtool", *asked],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
