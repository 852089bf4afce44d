"""The image's own start script, with the embedded server in the place of the image's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from fakes.command_line import invoke
from fakes.places import ROOT
from fakes.processes import end_with_parent, finished, free_port, wait_for
from smlm_pipeline import contract
from smlm_pipeline.deploy.memory_pools import sizes
from smlm_pipeline.engines import triton_wheel
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

SCRIPT = ROOT / "docker" / "server" / "recon-server"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "server.json"
SCRIPTS = Path(sys.executable).parent

ON_GPUS_ONLY = {"nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_utilization"}
"""What Triton tells beside that where there is a GPU (docs/user_guide/metrics.md of the server)."""


@dataclass
class Image:
    """The script's process, and what is where in what stands for its container."""

    process: subprocess.Popen[str]
    address: str
    metrics_url: str
    run: Path
    log: Path


def _tools(folder: Path, tritonserver: str) -> Path:
    """A folder for PATH in which the image's tritonserver is what is said here."""
    folder.mkdir(parents=True)
    program = folder / "tritonserver"
    program.write_text(f"#!/bin/sh\n{tritonserver}\n")
    program.chmod(0o755)
    return folder


def _embedded(folder: Path) -> tuple[str, dict[str, str]]:
    """How the wheel's tritonserver is run, and the environment that it needs."""
    wheel = triton_wheel.wheel_folder()
    backends = folder / "backends" / "python"
    backends.mkdir(parents=True)
    for file in (wheel / "backends" / "python").iterdir():
        (backends / file.name).symlink_to(file)
    (backends / "triton_python_backend_stub").symlink_to(triton_wheel.stub(wheel))
    binary = shlex.quote(str(wheel / "bin" / "tritonserver"))
    return f'exec {binary} "$@"', triton_wheel.environment(wheel)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    tritonserver, environment = _embedded(folder)
    tools = _tools(folder / "bin", tritonserver)
    grpc, metrics = free_port(), free_port()
    prefix = f"smlm_recon_image_{secrets.token_hex(4)}"
    added = [
        f"--backend-directory={folder / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        *("--grpc-address=127.0.0.1", f"--grpc-port={grpc}"),
        *("--metrics-address=127.0.0.1", f"--metrics-port={metrics}"),
        *sizes(list(contract.ENSEMBLES)).flags(),  # those of a GPU server: it knows them all
    ]
    path = os.pathsep.join([str(tools), environment["PATH"]])
    told = {"PATH": path, "RECON_DEVICE": "cpu", "RECON_RUN": str(folder / "run")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            end_with_parent(["sh", SCRIPT, *added]),
            env={**environment, **told},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{metrics}/metrics"
    try:
        yield Image(process, f"127.0.0.1:{grpc}", url, folder / "run", folder / "log")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for segment in Path("/dev/shm").glob(f"{prefix}*"):  # noqa: S108 - the kernel's
            segment.unlink()


def _canary(image: Image) -> str:
    """What the image's health check says once it passes."""
    outputs = []

    def passes() -> bool:
        if image.process.poll() is not None:
            pytest.fail(f"the server has ended; {image.log.read_text()[-2000:]}")
        model = contract.RECONSTRUCTION.name
        status = invoke("status", "--server", image.address, "--canary", "--model", model)
        outputs.append(status.output)
        return status.exit_code == 0

    wait_for(passes, "the health check to pass")
    return outputs[-1]


@pytest.mark.triton
def test_the_health_check_passes_by_a_frame_that_went_through(image: Image) -> None:
    assert "of 1 emitter" in _canary(image)


@pytest.mark.triton
def test_the_image_is_that_of_the_local_engine(
    image: Image, film_file: Path, local_transport: LocalTransport
) -> None:
    _canary(image)
    with open_film(film_file) as film, TritonTransport(Servers.parse(image.address)) as transport:
        through_image = reconstruct(film, transport, Settings())
        here = reconstruct(film, local_transport, Settings())
    np.testing.assert_array_equal(through_image.image, here.image)


@pytest.mark.triton
def test_only_what_is_asked_for_is_served(image: Image) -> None:
    _canary(image)
    client = grpcclient.InferenceServerClient(image.address)
    served = {model.name for model in contract.MODELS if client.is_model_ready(model.name)}
    steps = {step.name for step in contract.ENSEMBLES[contract.RECONSTRUCTION.name].steps}
    assert served == {contract.RECONSTRUCTION.name, *steps}
    assert {path.name for path in (image.run / "models").iterdir()} == served


@pytest.mark.triton
def test_clients_cannot_change_the_server(image: Image) -> None:
    _canary(image)
    client = grpcclient.InferenceServerClient(image.address)
    attempts: list[Callable[[], object]] = [
        lambda: client.unload_model("unet"),
        lambda: client.get_model_repository_index(),
        lambda: client.register_system_shared_memory("probe", "/probe", 64),
        lambda: client.get_trace_settings(),
        lambda: client.update_log_settings({"log_verbose_level": 1}),
    ]
    for attempt in attempts:
        with pytest.raises(InferenceServerException, match="restricted"):
            attempt()


@pytest.mark.triton
def test_the_dashboard_asks_for_what_the_server_tells(image: Image) -> None:
    _canary(image)
    with urllib.request.urlopen(image.metrics_url, timeout=60) as answer:  # noqa: S310 - loopback
        told = set(re.findall(r"^# HELP (\w+)", answer.read().decode(), re.MULTILINE))
    asked = {
        name
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:nv|recon)_\w+", target["expr"])
    }
    assert len(asked) > 10
    assert asked <= told | ON_GPUS_ONLY


# --- without a server -----------------------------------------------------------------------


def _start(folder: Path, **told: str) -> subprocess.CompletedProcess[str]:
    """The script where tritonserver only says how it was called."""
    tools = _tools(folder / "bin", 'echo "tritonserver $@"')
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), str(SCRIPTS), os.environ["PATH"]]),
        "RECON_RUN": str(folder / "run"),
        "RECON_PLAN_CACHE": str(folder / "plans"),
        **told,
    }
    return finished(["sh", SCRIPT, "--log-verbose=1"], env=environment)


def _flags(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    program, *flags = done.stdout.split()
    assert program == "tritonserver"
    return flags


def test_flags_are_the_careful_ones(tmp_path: Path) -> None:
    flags = _flags(_start(tmp_path, RECON_DEVICE="cpu"))
    careful = ("--strict-readiness=true", "--exit-on-error=true", "--model-control-mode=none")
    assert {*careful, "--allow-http=false"} <= set(flags)
    assert flags[-1] == "--log-verbose=1", "what a user adds comes last"
    (closed,) = [flag for flag in flags if flag.startswith("--grpc-restricted-protocol=")]
    assert "shared-memory" in closed
    assert re.search(r":admin-key=[0-9a-f]{48}$", closed)


def test_every_start_has_a_key_of_its_own(tmp_path: Path) -> None:
    flags = [_flags(_start(tmp_path / each, RECON_DEVICE="cpu")) for each in ("a", "b")]
    keys = {flag.split("admin-key=")[1] for each in flags for flag in each if "admin-key=" in flag}
    assert len(keys) == 2


def test_every_ensemble_that_is_asked_for_is_copied(tmp_path: Path) -> None:
    both = f"{contract.RECONSTRUCTION.name} {contract.RECONSTRUCTION_MAP.name}"
    _flags(_start(tmp_path, RECON_DEVICE="cpu", RECON_ENSEMBLES=both))
    copied = {path.name for path in (tmp_path / "run" / "models").iterdir()}
    steps = {step.name for name in both.split() for step in contract.ENSEMBLES[name].steps}
    assert copied == {*steps, *both.split()}


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ({"RECON_DEVICE": "tpu"}, 2, "RECON_DEVICE is 'tpu'; expected gpu or cpu"),
        (
            {"RECON_DEVICE": "cpu", "RECON_ENSEMBLES": "unet"},
            2,
            "RECON_ENSEMBLES names unet; expected some of reconstruction",
        ),
        (
            {"RECON_DEVICE": "cpu", "RECON_MODEL_REPOSITORY": "nowhere"},
            2,
            "no model repository at nowhere",
        ),
    ],
)
def test_what_makes_no_sense_never_starts_a_server(
    tmp_path: Path, told: dict[str, str], code: int, words: str
) -> None:
    done = _start(tmp_path, **told)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("recon-server: ")
    assert "serving" not in done.stderr
    assert not done.stdout


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _start(tmp_path, RECON_DEVICE="cpu", RECON_RUN=str(tmp_path / "file"))
    assert done.returncode == 7
    assert "cannot be written" in done.stderr
    assert not done.stdout


def test_without_a_plan_that_fits_no_server_starts(tmp_path: Path) -> None:
    """There is no GPU here, so there is no plan: a server would serve nothing, or worse."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine may have a GPU to build a plan on")
    done = _start(tmp_path, RECON_DEVICE="gpu")
    assert done.returncode == 8, done.stderr
    assert "a TensorRT plan needs" in done.stderr
    assert not done.stdout


def test_on_a_gpu_the_server_gets_its_plans_and_its_memory(tmp_path: Path) -> None:
    """As it goes where there is a plan: the builder alone is replaced, by one that says yes."""
    asked = tmp_path / "asked"
    (tmp_path / "gpu").mkdir()
    python = tmp_path / "gpu" / "python3"
    python.write_text(
        '#!/bin/sh\ncase "$2 $3" in "smlm_pipeline.cli.plan build") '
        f'echo "$@" >{asked}; exit 0 ;; esac\n'
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "gpu"), str(tmp_path / "bin"), os.environ["PATH"]])
    flags = _flags(_start(tmp_path, RECON_DEVICE="gpu", PATH=path))
    models, cache = tmp_path / "run" / "models", tmp_path / "plans"
    assert asked.read_text().split() == [
        *("-m", "smlm_pipeline.cli.plan", "build"),
        *("--model-repository", str(models), "--cache", str(cache)),
    ]
    assert set(sizes([contract.RECONSTRUCTION.name]).flags()) <= set(flags)
    assert not any(flag.startswith("--model-config-name") for flag in flags)


def test_with_two_gpus_no_server_starts(tmp_path: Path) -> None:
    """The real builder, over modules that stand for TensorRT's and CuPy's, with two GPUs."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "tensorrt.py").write_text("from fakes.tensorrt import *\n")
    (modules / "cupy.py").write_text(
        "from fakes import cupy\ncuda = cupy.cuda\ncupy.GPUS = cupy.GPUS * 2\n"
    )
    path = os.pathsep.join([str(modules), str(ROOT / "tests")])
    done = _start(tmp_path, RECON_DEVICE="gpu", PYTHONPATH=path)
    assert done.returncode == 4, done.stderr
    assert "2 GPUs are visible; expected one" in done.stderr
    assert not done.stdout
