"""The gate in ``docker/``: it agrees with the servers, with its program and with its own bounds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML

from fakes.command_tree import commands, options
from fakes.places import ROOT
from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.errors import SettingError
from smlm_pipeline.gate import run, service
from smlm_pipeline.gate.clients import Clients, Limits
from smlm_pipeline.gate.requests import REQUEST_BYTES_MOST
from smlm_pipeline.run.memory_budget import parse_bytes

DOCKER = ROOT / "docker"
GATED, NEXT_GATED = "overlays/gpu-gate", "overlays/gpu-next-gate"
BASE_BYTES = 200 << 20
"""The program itself, by a generous estimate."""

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl, which renders the manifests"
)


@cache
def _rendered(folder: str) -> dict[tuple[str, str], Any]:
    done = subprocess.run(
        ["kubectl", "kustomize", DOCKER / "kubernetes" / folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = YAML(typ="safe").load_all(done.stdout)
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def _pod(name: str = "recon-gate", folder: str = GATED) -> dict[str, Any]:
    deployment = _rendered(folder)["Deployment", name]
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def _compose(name: str = "compose.yaml") -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(DOCKER / name)
    return content


def _arguments(words: list[str], variables: list[dict[str, str]] | None = None) -> dict[str, str]:
    """Options and their values, in which Kubernetes puts the container's variables."""
    assert words[0] == "gate"
    text = "\n".join(words[1:])
    for each in variables or []:
        text = text.replace(f"$({each['name']})", each["value"])
    return dict(word.split("=", 1) for word in text.splitlines())


def _most_bytes() -> int:
    """What the gate holds at most: each message in Python, and in gRPC on its way."""
    received = service.RECEIVED_MOST * REQUEST_BYTES_MOST
    requests = service.REQUESTS_MOST * REQUEST_BYTES_MOST
    return received + 2 * (requests + service.ANSWERS_BYTES_MOST) + BASE_BYTES


def _policy(name: str, folder: str = GATED) -> Any:
    return _rendered(folder)["NetworkPolicy", name]["spec"]


@needs_kubectl
def test_only_the_gate_reaches_the_servers() -> None:
    gate, server = (_pod(name)["metadata"]["labels"].items() for name in ("recon-gate", "recon"))
    (admitted,) = _policy("server")["ingress"][0]["from"]
    assert admitted["podSelector"]["matchLabels"].items() <= gate
    client = _policy("client")
    assert client["egress"][0]["to"] == [admitted]
    assert not client["podSelector"]["matchLabels"].items() <= gate
    assert _policy("gate")["podSelector"]["matchLabels"].items() <= gate
    (reached,) = _policy("gate")["egress"][0]["to"]
    assert reached["podSelector"]["matchLabels"].items() <= server
    assert not reached["podSelector"]["matchLabels"].items() <= gate
    assert _policy("gate")["ingress"][0] == {"ports": [{"port": "grpc", "protocol": "TCP"}]}
    (without,) = _policy("server", "overlays/gpu")["ingress"][0]["from"]
    assert (
        without["podSelector"]["matchLabels"].items()
        <= client["podSelector"]["matchLabels"].items()
    ), "without a gate, clients reach servers"


@needs_kubectl
def test_selectors_select_the_gate_alone() -> None:
    found = _rendered(GATED)
    gate, server = (_pod(name)["metadata"]["labels"].items() for name in ("recon-gate", "recon"))
    for kind in ("Deployment", "PodDisruptionBudget"):
        chosen = found[kind, "recon-gate"]["spec"]["selector"]["matchLabels"].items()
        assert chosen <= gate
        assert not chosen <= server
    assert found["Service", "recon-gate"]["spec"]["selector"].items() <= gate
    assert not found["Service", "recon"]["spec"]["selector"].items() <= gate
    budget = found["PodDisruptionBudget", "recon"]["spec"]["selector"]["matchLabels"].items()
    assert not budget <= gate


@needs_kubectl
def test_gates_of_two_networks_share_nothing_but_their_policies() -> None:
    """Each is before the servers of its network alone, so a film never meets both."""
    old, new = _rendered(GATED), _rendered(NEXT_GATED)
    kinds = ("Deployment", "Service", "PodDisruptionBudget")
    assert {*new} == {(kind, name) for kind in kinds for name in ("recon-2", "recon-gate-2")}
    assert not old.keys() & new.keys()
    places = [(GATED, ""), (NEXT_GATED, "-2")]
    for (one, suffix), (other, other_suffix) in (places, places[::-1]):
        for name in ("recon", "recon-gate"):
            chosen = [_rendered(one)[kind, name + suffix]["spec"]["selector"] for kind in kinds]
            labels = [each.get("matchLabels", each).items() for each in chosen]
            own = _pod(name + suffix, one)["metadata"]["labels"].items()
            foreign = _pod(name + other_suffix, other)["metadata"]["labels"].items()
            assert all(each <= own and not each <= foreign for each in labels)
        (container,) = _pod(f"recon-gate{suffix}", one)["spec"]["containers"]
        assert _arguments(container["args"], container["env"])["--server"] == f"recon{suffix}:8001"
    gate = _pod("recon-gate-2", NEXT_GATED)["metadata"]["labels"].items()
    for selecting in (
        _policy("gate"),
        _policy("server")["ingress"][0]["from"][0],
        _policy("client")["egress"][0]["to"][0],
    ):
        assert selecting["podSelector"]["matchLabels"].items() <= gate


@needs_kubectl
def test_the_gate_of_a_second_network_is_else_the_same() -> None:
    first, second = _pod()["spec"], _pod("recon-gate-2", NEXT_GATED)["spec"]
    assert second["volumes"] == first["volumes"], "one certificate and one list of clients"
    for part in ("args", "ports", "resources", "volumeMounts", "securityContext"):
        assert second["containers"][0][part] == first["containers"][0][part]


@needs_kubectl
def test_ports_of_the_gate_agree() -> None:
    found = _rendered(GATED)
    (container,) = _pod()["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    stated = _arguments(container["args"], container["env"])
    assert stated["--listen"] == f"0.0.0.0:{ports['grpc']}"
    assert stated["--metrics"] == f"0.0.0.0:{ports['metrics']}"
    service_ports = found["Service", "recon-gate"]["spec"]["ports"]
    assert {each["targetPort"]: each["port"] for each in service_ports} == ports
    server = found["Service", "recon"]["spec"]["ports"][0]
    assert stated["--server"] == f"recon:{server['port']}"
    assert _policy("gate")["egress"][0]["ports"][0]["port"] == server["port"]
    assert _policy("client")["egress"][0]["ports"][0]["port"] == ports["grpc"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"


@needs_kubectl
def test_files_of_the_gate_are_mounted() -> None:
    pod = _pod()["spec"]
    (container,) = pod["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    secrets = {each["name"] for each in pod["volumes"] if "secret" in each}
    stated = _arguments(container["args"])
    folders = {stated[name].rpartition("/")[0] for name in ("--tls-cert", "--tls-key", "--clients")}
    assert folders == {mounts[name] for name in secrets}


@needs_kubectl
def test_a_gate_ends_its_requests_before_it_is_killed() -> None:
    pod = _pod()["spec"]
    (container,) = pod["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pause_s >= 10
    assert pod["terminationGracePeriodSeconds"] > pause_s + run.DRAIN_S
    grace = _compose()["services"]["gate"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > run.DRAIN_S


@needs_kubectl
def test_memory_is_enough_for_what_a_gate_may_hold() -> None:
    (container,) = _pod()["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"].replace("i", "iB")
    assert parse_bytes(limit) >= _most_bytes()
    assert parse_bytes(_compose()["services"]["gate"]["mem_limit"].replace("g", "GiB")) >= (
        _most_bytes()
    )


def test_the_gate_of_compose_agrees_with_its_program() -> None:
    gate = _compose()["services"]["gate"]
    stated = _arguments(gate["command"])
    known = {
        name
        for each in options(commands("recon-client")["recon-client gate"])
        for name in each.opts
    }
    assert stated.keys() <= known
    files = {
        value for name, value in stated.items() if name not in ("--listen", "--metrics", "--server")
    }
    assert files == {f"/run/secrets/{name}" for name in gate["secrets"]}
    assert set(gate["secrets"]) == set(_compose()["secrets"])
    assert gate["ports"][0].endswith(f":{stated['--listen'].rpartition(':')[2]}")
    assert stated["--metrics"].rpartition(":")[2] in gate["healthcheck"]["test"][-1]
    assert not any(":8003" in port for port in gate["ports"]), "counts are not for clients"
    assert stated["--server"].partition(":")[0] in _compose()["services"]


@needs_kubectl
def test_the_gate_of_kubernetes_agrees_with_its_program() -> None:
    (container,) = _pod()["spec"]["containers"]
    known = {
        name
        for each in options(commands("recon-client")["recon-client gate"])
        for name in each.opts
    }
    assert _arguments(container["args"]).keys() <= known
    page = (ROOT / "docs" / "gate.md").read_text()
    for name in ("recon-gate-tls", "recon-gate-clients"):
        assert re.search(rf"create secret \w+ {name}", page), "how to make it"


def _made(secret: str) -> list[set[str]]:
    """Files of this Secret, for each command of the page that makes it."""
    page = " ".join((ROOT / "docs" / "gate.md").read_text().replace("\\\n", "").split())
    command = re.compile(rf"create secret generic {secret} ((?:--from-file=\S+ ?)+)")
    return [set(re.findall(r"--from-file=([^=\s]+)", each)) for each in command.findall(page)]


def _with_components(folder: Path, *names: str) -> str:
    """A folder with these components, as a user makes one."""
    places = [os.path.relpath(DOCKER / "kubernetes" / name, folder) for name in names]
    text = {"resources": places[:1], "components": places[1:]}
    (folder / "kustomization.yaml").write_text(json.dumps(text))
    return str(folder)


@needs_kubectl
@pytest.mark.parametrize("way", ["client-token", "client-certificate"])
def test_films_show_the_gate_what_they_have(tmp_path: Path, way: str) -> None:
    """The files that the page puts into the Secret are those that the options name."""
    parts = ("films", "components/client", f"components/{way}")
    found = _rendered(_with_components(tmp_path, *parts))
    stated = dict(found["ConfigMap", "recon-client"]["data"])
    service = _rendered(GATED)["Service", "recon-gate"]
    assert stated.pop("RECON_SERVER") == f"recon-gate:{service['spec']['ports'][0]['port']}"
    known = {each.envvar for each in options(commands("recon-client")["recon-client submit"])}
    assert stated.keys() <= known
    jobs = [each for (kind, _), each in found.items() if kind == "Job"]
    assert jobs
    for pod in (each["spec"]["template"]["spec"] for each in jobs):
        (container,) = pod["containers"]
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "client")
        (volume,) = (each for each in pod["volumes"] if each["name"] == "client")
        assert volume["secret"] == {"secretName": "recon-client", "defaultMode": 0o440}
        assert {path.rpartition("/")[0] for path in stated.values()} == {mount["mountPath"]}
        assert {"configMapRef": {"name": "recon-client"}} in container["envFrom"]
    assert {path.rpartition("/")[2] for path in stated.values()} in _made("recon-client")


@needs_kubectl
def test_films_through_the_gate_are_else_the_same(tmp_path: Path) -> None:
    parts = ("films", "components/client", "components/client-token")
    assert _rendered("films-gate") == _rendered(_with_components(tmp_path, *parts))
    assert _rendered("films-gate").keys() == _rendered("films").keys()


@needs_kubectl
@pytest.mark.parametrize(("folder", "name"), [(GATED, "recon-gate"), (NEXT_GATED, "recon-gate-2")])
def test_a_gate_asks_for_certificates(tmp_path: Path, folder: str, name: str) -> None:
    """Of the CA that the page puts into a Secret which the gate mounts; the rest is the same."""
    component = "components/gate-certificates"
    rendered = dict(_rendered(_with_components(tmp_path, folder, component)))
    gate = rendered.pop(("Deployment", name))
    kubernetes_validate.validate(gate, "1.31", strict=True)
    without = dict(_rendered(folder))
    before = without.pop(("Deployment", name))
    assert rendered == without
    pod = gate["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    place, _, file = _arguments(container["args"])["--tls-ca"].rpartition("/")
    (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == place)
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert {"clients.yaml", file} in _made(volume["secret"]["secretName"])
    assert container["args"].pop().startswith("--tls-ca=")
    assert gate == before


def test_a_gate_of_compose_asks_for_certificates() -> None:
    added, first = _compose("compose.certificates.yaml"), _compose()
    gate, (secret,) = added["services"]["gate"], added["secrets"]
    option = f"--tls-ca=/run/secrets/{secret}"
    assert gate == {
        "command": [*first["services"]["gate"]["command"], option],
        "secrets": [secret],
    }
    (folder,) = {each["file"].rpartition("/")[0] for each in first["secrets"].values()}
    assert added["secrets"][secret] == {"file": f"{folder}/{secret}"}
    assert f"`{secret}`" in (ROOT / "docs" / "gate.md").read_text()


def test_examples_of_clients_are_for_one_way_each(tmp_path: Path) -> None:
    """A gate with TLS and no CA of clients takes the first, and refuses the second."""
    page = (ROOT / "docs" / "gate.md").read_text()
    tokens, certificates = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    tls = ServerTls(tmp_path / "server.pem", tmp_path / "server.key")
    path = tmp_path / "clients.yaml"
    path.write_text(tokens)
    Clients.read(path, Limits(1, 1, 1, 1.0)).check_recognisable(tls)
    path.write_text(certificates)
    with pytest.raises(SettingError, match="--tls-ca"):
        Clients.read(path, Limits(1, 1, 1, 1.0)).check_recognisable(tls)


@needs_kubectl
def test_the_namespace_is_there_before_its_secrets() -> None:
    page = (ROOT / "docs" / "gate.md").read_text()
    before, _, _ = page.partition("kubectl -n recon create secret")
    (folder,) = re.findall(r"^kubectl apply -k docker/kubernetes/(\S+)$", before, re.MULTILINE)
    assert ("Namespace", "recon") in _rendered(folder)
