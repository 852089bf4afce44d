"""The files of ``docker/``, as far as they can be judged without a Docker engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML

from fakes.places import ROOT
from smlm_bench.gpu import containers
from smlm_pipeline import contract
from smlm_pipeline.deploy.memory_pools import sizes
from smlm_pipeline.engines.embedded import RESTRICTED
from smlm_pipeline.serving import metrics

DOCKER = ROOT / "docker"
SCRIPTS = Path(sys.executable).parent
DOCKERFILES = sorted(DOCKER.glob("*/Dockerfile"))
DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
OURS = {metrics.BYTES_TO_HOST, metrics.HOST_INPUTS, metrics.FRAMES}

each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)


@cache
def _compose() -> Any:
    return YAML(typ="safe").load(DOCKER / "compose.yaml")


def _services() -> dict[str, Any]:
    services: dict[str, Any] = _compose()["services"]
    return services


def _expressions() -> list[str]:
    return [
        target["expr"].replace("$__rate_interval", "1m")
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


# --- images ---------------------------------------------------------------------------------


@each_dockerfile
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    done = subprocess.run(
        [SCRIPTS / "hadolint", path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout


@each_dockerfile
def test_image_is_pinned_and_not_run_by_root(path: Path) -> None:
    text = path.read_text()
    bases = re.findall(r"^(?:FROM|ARG TRITON_IMAGE=) ?([\w./-]+:\S+)", text, re.MULTILINE)
    assert bases
    assert not any(base.endswith(":latest") for base in bases)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "1000:1000"
    stages = 3 if "AS cpu" in text else 2
    assert text.count("--require-hashes") == stages, "of the wheel's build and of the image"


@each_dockerfile
def test_what_an_image_copies_is_there_and_not_ignored(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    lines = re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE)
    sources = [source for line in lines for source in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in kept), source


def test_every_image_builds_the_wheel_in_the_same_way() -> None:
    """Written three times, so that each image is built on its own; the copies do not drift."""
    stages = {
        re.findall(r"^FROM \S+ AS wheel\n(?:(?!FROM ).*\n)+", path.read_text(), re.MULTILINE)[0]
        for path in DOCKERFILES
    }
    assert len(DOCKERFILES) == 3
    assert len(stages) == 1


def test_the_client_image_reads_every_format_and_the_server_image_none() -> None:
    stated = metadata.requires("smlm-recon") or []
    packages = {re.split("[^a-z0-9-]", each)[0] for each in stated if "extra == 'films'" in each}
    assert packages == {"imagecodecs", "nd2", "zarr", "astropy", "h5py", "liffile"}
    for image, pinned in (("client", packages), ("server", set())):
        text = (ROOT / "requirements" / f"{image}-image.txt").read_text()
        assert set(re.findall(r"^([\w-]+)==", text, re.MULTILINE)) & packages == pinned


@pytest.mark.parametrize("name", ["client", "server", "training"])
def test_engines_send_no_telemetry(name: str) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in (DOCKER / name / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cpu", "fp16", "bf16 or f32 on a cpu"),
        ("cpu", "bf16 ", "bf16 or f32 on a cpu"),
        ("gpu", "bf16", "fp16 or f32 on a gpu"),
    ],
)
def test_a_precision_that_is_none_is_refused_at_once(
    device: str, precision: str, expected: str
) -> None:
    done = subprocess.run(
        ["sh", DOCKER / "server" / "recon-server"],
        env={**os.environ, "RECON_DEVICE": device, "RECON_PRECISION": precision},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"RECON_PRECISION is '{precision}'; expected {expected}" in done.stderr


def test_the_build_of_the_server_image_proves_that_its_packages_load() -> None:
    """After all packages and with the libraries' path, as the server will have them."""
    text = (DOCKER / "server" / "Dockerfile").read_text()
    before, _ = text.split('RUN python3 -c "import cupy, tensorrt; ')
    assert "install-tensorrt /opt/recon" in before
    assert "LD_LIBRARY_PATH=/opt/recon" in before
    assert before.rindex("-r /tmp/server-gpu.txt") < before.rindex("LD_LIBRARY_PATH")


def test_the_server_for_cpus_is_the_same_without_what_needs_a_gpu() -> None:
    """A stage before the last, which is what a build makes without ``--target``."""
    text = (DOCKER / "server" / "Dockerfile").read_text()
    assert re.findall(r"^FROM .+ AS (\w+)$", text, re.MULTILINE) == ["wheel", "cpu", "gpu"]
    for_cpus, for_gpus = text.split("FROM cpu AS gpu\n")
    assert "RECON_DEVICE=cpu" in for_cpus
    assert "RECON_DEVICE=gpu" in for_gpus
    pins = {
        name: set(
            re.findall(r"^([\w-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.M)
        )
        for name in ("server-image", "server-gpu")
    }
    assert pins["server-gpu"] == {"cupy-cuda13x", "nvidia-cuda-nvrtc", "cuda-pathfinder"}
    assert not pins["server-gpu"] & pins["server-image"]


def test_server_image_is_new_enough_for_the_network() -> None:
    """Older releases lack fixes of the remote holes of 2025 and 2026."""
    text = (DOCKER / "server" / "Dockerfile").read_text()
    (release,) = re.findall(r"tritonserver:(\d\d\.\d\d)-py3", text)
    assert release >= "26.07"


@pytest.mark.parametrize("script", ["recon-server", "install-tensorrt"])
def test_scripts_parse(script: str) -> None:
    path = DOCKER / "server" / script
    subprocess.run(["sh", "-n", path], check=True, timeout=30)
    assert path.stat().st_mode & 0o111, "executable"


@pytest.mark.parametrize(
    ("ensembles", "asked"),
    [
        (None, "reconstruction"),
        ("reconstruction_map", "reconstruction_map"),
        ("reconstruction_fast reconstruction", "reconstruction_fast"),
    ],
)
def test_the_health_check_asks_what_is_served(
    tmp_path: Path, ensembles: str | None, asked: str
) -> None:
    (tmp_path / "recon-client").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "recon-client").chmod(0o755)
    text = (DOCKER / "server" / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (.+)$", text, re.MULTILINE)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    if ensembles is not None:
        environment["RECON_ENSEMBLES"] = ensembles
    done = subprocess.run(
        json.loads(command), env=environment, capture_output=True, text=True, check=True
    )
    told = done.stdout.split()
    assert told == ["status", "--canary", "--server", "127.0.0.1:8001", "--model", asked]


def test_the_server_closes_what_the_embedded_one_closes() -> None:
    text = (DOCKER / "server" / "recon-server").read_text()
    (closed,) = re.findall(r"^closed=(\S+)$", text, re.MULTILINE)
    assert set(closed.split(",")) >= set(RESTRICTED.split(","))


# --- compose --------------------------------------------------------------------------------


def test_compose_is_what_its_specification_says() -> None:
    done = subprocess.run(
        [
            *(SCRIPTS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
            *DOCKER.glob("compose*.yaml"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_services_have_no_more_rights_than_they_need() -> None:
    for name, service in _services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service["user"].startswith("0"), name
        loopback = r"127\.0\.0\.1:|\$\{RECON_(GATE_)?BIND:-127\.0\.0\.1\}:"
        assert all(re.match(loopback, each) for each in service["ports"]), name


def test_images_of_others_are_pinned() -> None:
    for name, service in _services().items():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_nothing_that_looks_like_a_secret() -> None:
    for path in DOCKER.rglob("*"):
        if path.is_file():
            assert not re.search(
                r"(?i)(password|secret|token)\s*[:=]\s*(?!false\b|\{secretName)\S", path.read_text()
            ), path


def test_what_compose_mounts_is_there() -> None:
    mounts = [each for service in _services().values() for each in service["volumes"]]
    folders = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(folders) == 3
    assert all((DOCKER / folder).is_dir() for folder in folders)
    assert {mount.split(":")[0] for mount in mounts} - set(folders) == set(_compose()["volumes"])


def test_compose_passes_on_what_the_start_script_reads() -> None:
    text = (DOCKER / "server" / "recon-server").read_text()
    read = set(re.findall(r"^#   (RECON_\w+)", text, re.MULTILINE))
    of_the_image = {"RECON_RUN", "RECON_PLAN_CACHE"}
    assert set(_services()["server"]["environment"]) == read - of_the_image


def test_two_servers_fit_on_one_host_and_share_their_plans() -> None:
    assert _services()["server"]["ports"] == [
        "${RECON_BIND:-127.0.0.1}:${RECON_PORT:-8001}:8001",
    ]
    assert _compose()["volumes"]["plans"]["name"] == containers.PLANS_VOLUME


def test_shared_memory_is_enough_for_all_ensembles_at_once() -> None:
    (stated,) = re.findall(r":-(\d+)gb\}", _services()["server"]["shm_size"])
    assert int(stated) << 30 >= sizes(list(contract.ENSEMBLES)).shm_total_bytes


def test_variables_without_a_value_change_nothing(tmp_path: Path) -> None:
    """Compose passes on an empty string where the user says nothing."""
    environment = {**os.environ, "RECON_MODEL_REPOSITORY": "", "RECON_TF32": "0"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "smlm_pipeline.cli.plan",
            "stage",
            tmp_path / "models",
            "reconstruction",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "reconstruction" in done.stdout.split()


def test_the_server_stops_before_it_is_killed() -> None:
    text = (DOCKER / "server" / "recon-server").read_text()
    (seconds,) = re.findall(r"--exit-timeout-secs=(\d+)", text)
    assert int(_services()["server"]["stop_grace_period"].removesuffix("s")) > int(seconds)


# --- metrics --------------------------------------------------------------------------------


def test_prometheus_scrapes_the_server_where_compose_runs_it() -> None:
    found = YAML(typ="safe").load(DOCKER / "prometheus" / "prometheus.yaml")
    ((target,), (gate,)) = [
        each["targets"] for job in found["scrape_configs"] for each in job["static_configs"]
    ]
    host, port = target.split(":")
    assert host in _services()
    assert port in re.findall(r"EXPOSE (.+)", (DOCKER / "server/Dockerfile").read_text())[0].split()
    host, port = gate.split(":")
    assert f"--metrics=0.0.0.0:{port}" in _services()[host]["command"]


def test_grafana_reads_prometheus() -> None:
    folder = DOCKER / "grafana" / "provisioning"
    (source,) = YAML(typ="safe").load(folder / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = YAML(typ="safe").load(folder / "dashboards" / "files.yaml")["providers"]
    mounted = [each.split(":")[1] for each in _services()["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            assert panel["datasource"]["uid"] == source["uid"]
            assert panel["description"]


def test_grafana_calls_nobody() -> None:
    """By default it reports its use, looks for updates and news, and installs plugins."""
    set_to = _services()["grafana"]["environment"]
    assert set_to["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    for name in (
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_NEWS_NEWS_FEED_ENABLED",
    ):
        assert set_to[name] == "false"


@pytest.mark.parametrize("expression", _expressions())
def test_every_query_is_promql(expression: str) -> None:
    assert promql_parser.parse(expression) is not None


def test_the_dashboard_shows_what_this_project_counts() -> None:
    assert {name for name in OURS if any(name in each for each in _expressions())} == OURS


def test_times_are_told_by_request_and_bytes_by_all_frames() -> None:
    """Triton counts a request as one inference, however many frames it has."""
    busy = [each for each in _expressions() if "_duration_us" in each]
    assert busy
    assert all("/ sum by (model) (rate(nv_inference_request_success" in each for each in busy)
    (copied,) = [each for each in _expressions() if metrics.BYTES_TO_HOST in each]
    assert copied.startswith("sum(rate(")
    assert copied.endswith("/ sum(rate(recon_frames_total[1m]))")
    assert not any("nv_inference_count" in each for each in _expressions())
