"""The server's image under Docker: built, started on a GPU or on the CPU, stopped."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smlm_bench.gpu.server import Server
from smlm_pipeline import contract
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import ReconError, ServerError
from smlm_pipeline.model_repository import PLAN_RECORD

IMAGE = "smlm-recon-server"

PLANS_VOLUME = "smlm-recon-plans"
"""Volume of plans, shared with the server of ``docker/compose.yaml``."""

START_TIMEOUT_S = 1800.0
"""Longest start: plans of all profiles are compiled within it, which takes minutes."""


POLL_S = 2.0
"""Time between two checks whether a server is ready."""

LOG_LINES = 200
"""How much of a container's log is kept."""

DOCKER_TIMEOUT_S = 600.0
"""Longest wait for one command of Docker."""

SERVED = "/run/recon/models"
"""Where the image keeps what it serves, and the plans."""


def docker_is_there() -> bool:
    """Whether a Docker engine answers."""
    return shutil.which("docker") is not None and _run("info").returncode == 0


def build(checkout: Path) -> None:
    """Build the server's image from a checkout.

    Raises
    ------
    ServerError
        If it cannot be built.
    """
    dockerfile = checkout / "docker" / "server" / "Dockerfile"
    build = subprocess.run(
        ["docker", "build", "-f", str(dockerfile), "-t", IMAGE, str(checkout)], check=False
    )
    if build.returncode:
        raise ServerError(f"docker build ended with {build.returncode}; see what it wrote above")


@dataclass(frozen=True)
class Container:
    """A server's container and where the server answers."""

    name: str
    server: Server

    def plan(self, network: str) -> dict[str, object]:
        """Read ``plan.json`` of a network; see ``smlm_pipeline.deploy.plans.cache``."""
        pattern = f"{SERVED}/{network}/*/{PLAN_RECORD}"
        plan: dict[str, object] = json.loads(
            _docker("exec", self.name, "sh", "-c", f"cat {pattern}")
        )
        return plan


@contextlib.contextmanager
def running(
    ensembles: Sequence[str],
    *,
    device: str,
    precision: str,
    keep_log: Callable[[str], None],
    largest_tile_px: int = contract.TILE_SIZES_PX[-1],
    flags: Sequence[str] = (),
) -> Iterator[Container]:
    """A server of the image, ready and with its canary found, within a ``with`` block.

    Parameters
    ----------
    ensembles : sequence of str
        Ensembles that it serves.
    device : str
        ``gpu`` or ``cpu``.
    precision : str
        ``f32``, or empty for the server's choice.
    keep_log : callable
        Gets the end of the container's log before that is removed, whatever happened.
    largest_tile_px : int
        Largest tile that plans are made for.
    flags : sequence of str
        Flags of tritonserver, in the place of the start script's.

    Raises
    ------
    ServerError
        If it ends while it starts, or is not ready in time.
    """
    variables = {
        "RECON_DEVICE": device,
        "RECON_PRECISION": precision,
        "RECON_LARGEST_TILE_PX": str(largest_tile_px),
        "RECON_ENSEMBLES": " ".join(ensembles),
    }
    container = _start(variables, flags)
    with contextlib.ExitStack() as ending:
        ending.callback(_docker, "rm", "--force", container)
        ending.callback(lambda: keep_log(_log(container, LOG_LINES)))
        address, metrics = (_docker("port", container, port) for port in ("8001", "8002"))
        server = Server(address, f"http://{metrics}/metrics")
        _wait(container, server, ensembles[0])
        yield Container(container, server)


def _start(variables: Mapping[str, str], flags: Sequence[str]) -> str:
    """Name of a new container that serves."""
    gpus = ["--gpus", "device=0"] if variables["RECON_DEVICE"] == "gpu" else []
    return _docker(
        *("run", "--detach", *gpus, "--init", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges:true", "--shm-size", "2g"),
        *("--tmpfs", "/tmp", "--tmpfs", "/run/recon:uid=1000,gid=1000,mode=0700"),  # noqa: S108
        *("--volume", f"{PLANS_VOLUME}:/var/cache/recon"),
        *("--publish", "127.0.0.1::8001", "--publish", "127.0.0.1::8002"),
        *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
        *(IMAGE, "recon-server", *flags),
    )


def kernel_speed() -> dict[str, object]:
    """Run ``recon-bench gpu-kernels`` in the image, on its GPU.

    Raises
    ------
    ServerError
        If it fails there.
    """
    on_gpu = ("--rm", "--gpus", "device=0", "--entrypoint", "recon-bench")
    speeds: dict[str, object] = json.loads(_docker("run", *on_gpu, IMAGE, "gpu-kernels"))
    return speeds


def _wait(container: str, server: Server, model: str) -> None:
    deadline, last = time.monotonic() + START_TIMEOUT_S, "nothing answered yet"
    while time.monotonic() < deadline:
        if _docker("inspect", "--format", "{{.State.Running}}", container) != "true":
            raise ServerError(f"the server ended while it started: {_log(container, 8)}")
        try:
            opening.server_canary(Servers.parse(server.address), model)
        except ReconError as error:
            last = str(error)
            time.sleep(POLL_S)
        else:
            return
    raise ServerError(f"the server was not ready after {START_TIMEOUT_S:.0f} s: {last}")


def _log(container: str, lines: int) -> str:
    """The end of what a container wrote."""
    logs = _run("logs", "--tail", str(lines), container)
    return (logs.stdout + logs.stderr).strip()


def _docker(*arguments: str) -> str:
    """Run a command of Docker; return its output, for ``docker port`` the first line."""
    command = _run(*arguments)
    if command.returncode:
        raise ServerError(f"docker {arguments[0]} failed: {command.stderr.strip()[-500:]}")
    output = command.stdout.strip()
    return output.splitlines()[0] if arguments[0] == "port" else output


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOCKER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(
            f"docker {arguments[0]} did not end within {DOCKER_TIMEOUT_S:.0f} s; expected an "
            "answer: look whether the Docker engine still works (docker info)"
        ) from error
