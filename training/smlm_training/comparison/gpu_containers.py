"""The server's image under Docker: built, started on a GPU or on the CPU, asked, stopped."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from smlm_pipeline import engines
from smlm_pipeline.errors import ReconError, ServerError
from smlm_pipeline.sizing import pools
from smlm_training.comparison.server_speed import Server

IMAGE = "smlm-recon-server"

START_TIMEOUT_S = 1800.0
"""Longest start: plans of all profiles are compiled within it, which takes minutes."""


def docker_is_there() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def build(checkout: Path) -> None:
    """Build the server's image from a checkout.

    Raises
    ------
    ServerError
        If it cannot be built.
    """
    dockerfile = checkout / "docker" / "server" / "Dockerfile"
    done = subprocess.run(
        ["docker", "build", "-f", str(dockerfile), "-t", IMAGE, str(checkout)], check=False
    )
    if done.returncode:
        raise ServerError(f"docker build ended with {done.returncode}; see what it wrote above")


@contextlib.contextmanager
def running(ensembles: Sequence[str], *, device: str) -> Iterator[Server]:
    """A server of the image, ready and with its canary found, within a ``with`` block.

    Parameters
    ----------
    ensembles : sequence of str
        What it serves.
    device : str
        ``gpu`` or ``cpu``.

    Raises
    ------
    ServerError
        If it ends while it starts, or is not ready in time.
    """
    gpus = ["--gpus", "device=0"] if device == "gpu" else []
    container = _docker(
        *("run", "--detach", *gpus, "--init", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges:true", "--shm-size", "8g"),
        *("--tmpfs", "/tmp", "--tmpfs", "/run/recon:uid=1000,gid=1000,mode=0700"),  # noqa: S108
        *("--volume", "smlm-recon-plans:/var/cache/recon"),
        *("--publish", "127.0.0.1::8001", "--publish", "127.0.0.1::8002"),
        *("--env", f"RECON_DEVICE={device}", "--env", f"RECON_IN_FLIGHT={pools.IN_FLIGHT}"),
        *("--env", f"RECON_ENSEMBLES={' '.join(ensembles)}", IMAGE),
    )
    try:
        address, metrics = (_docker("port", container, port) for port in ("8001", "8002"))
        server = Server(address, f"http://{metrics}/metrics")
        _wait(container, server, ensembles[0])
        yield server
    finally:
        subprocess.run(
            ["docker", "rm", "--force", container], capture_output=True, check=False, timeout=120
        )


def kernel_speed() -> dict[str, object]:
    """What `device_speed` prints in the image, on its GPU.

    Raises
    ------
    ServerError
        If it fails there.
    """
    program = ("-m", "smlm_training.comparison.device_speed")
    on_gpu = ("--rm", "--gpus", "device=0", "--entrypoint", "python3")
    told: dict[str, object] = json.loads(_docker("run", *on_gpu, IMAGE, *program))
    return told


def _wait(container: str, server: Server, model: str) -> None:
    deadline, last = time.monotonic() + START_TIMEOUT_S, "nothing was asked yet"
    while time.monotonic() < deadline:
        if _docker("inspect", "--format", "{{.State.Running}}", container) != "true":
            raise ServerError(f"the server ended while it started: {_tail(container)}")
        try:
            engines.server_canary(server.address, model)
        except ReconError as error:
            last = str(error)
            time.sleep(2)
        else:
            return
    raise ServerError(f"the server was not ready after {START_TIMEOUT_S:.0f} s: {last}")


def _tail(container: str) -> str:
    done = subprocess.run(
        ["docker", "logs", "--tail", "8", container], capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip()


def _docker(*arguments: str) -> str:
    """What a command of Docker prints; its first line for ``docker port``."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise ServerError(f"docker {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    told = done.stdout.strip()
    return told.splitlines()[0] if arguments[0] == "port" else told
