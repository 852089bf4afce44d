"""Everything that needs a GPU, checked and measured, in one report.

With Docker and an NVIDIA GPU, it builds the server's image, reconstructs a film on the GPU and on
the CPU, compares the images and measures frames per second. With a GPU alone, it checks the
kernels. After a failure the report has the findings until then, the error and the ends of the
servers' logs. Without a GPU it fails and writes nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.gpu import containers, kernels
from smlm_bench.gpu.load import (
    AS_SIZED,
    REQUESTS,
    SMALL_POOL_BYTES,
    answers_alone,
    answers_under_load,
    small_request,
    whole_request,
)
from smlm_bench.gpu.report import Findings, as_markdown
from smlm_bench.gpu.server import Server, ServerSpeed, measure
from smlm_bench.gpu.wrapping import answers_to_wrapping_shapes
from smlm_pipeline import contract
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import DeviceError, ReconError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import REFINE_OFF, Settings
from smlm_training.scoring.evaluate import nmse_percent
from smlm_training.simulation.presets import preset_film

Served: TypeAlias = AbstractContextManager[containers.Container]
"""A server in a ``with`` block."""

CHECKOUT = Path(__file__).parents[3]
ENSEMBLES = tuple(contract.ENSEMBLES)
MEGAPIXELS, REQUESTS_MOST = 160, 256
"""Length of the film of each measurement, and the most requests that it takes."""

BATCHES = (1, 16)
"""Frames of a request that are measured, beside the most that the contract allows."""

IN_FLIGHT = 8
"""Requests under way at once while speed is measured."""

GPU_MEMORY = "nv_gpu_memory_used_bytes"
"""Triton's metric of it, one a GPU that the server sees."""

_WITHOUT = (
    "this machine has no NVIDIA GPU (nvidia-smi finds none), so nothing was checked and "
    "no report was written. With a GPU it would compare the CuPy kernels with NumPy's, bit by bit; "
    "with Docker as well, build docker/server, compile and judge the plans, reconstruct a film on "
    "the GPU and on the CPU and compare the images, load the server until its memory would show, "
    "and measure frames a second and bytes to the host."
)

_NEEDS_DOCKER = (
    "all that needs Docker: the image, TensorRT plans, the ensembles, speed through the server "
    "and load; install Docker with the NVIDIA container toolkit and run make gpu-check again"
)


def write_report(
    path: Path, tell: Callable[[str], None], *, largest_tile_px: int
) -> tuple[int, list[str]]:
    """Check and measure what this machine can, and write one report.

    Parameters
    ----------
    path : Path
        Report to write, in Markdown, whatever happens once there is a GPU.
    tell : callable
        Receives a line after each measurement.
    largest_tile_px : int
        Largest tile to serve.

    Returns
    -------
    exit_code : int
        Code of the error that ended the check, 1 if there was none of ``ReconError``.
    failures : list of str
        One sentence each; empty if all is well.

    Raises
    ------
    DeviceError
        If there is no GPU.
    """
    gpus = _gpus()
    if not gpus:
        raise DeviceError(_WITHOUT)
    findings, exit_code = Findings(f"GPU: {gpus}", ended_by="interrupted"), 1
    try:
        if containers.docker_is_there():
            with_docker(findings, tell, largest_tile_px=largest_tile_px)
        else:
            without_docker(findings)
        findings.ended_by = ""
    except ReconError as error:
        exit_code, findings.ended_by = error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 - the report has the findings and this error
        findings.ended_by = f"unexpected {type(error).__name__}: {error}; please report this"
    finally:
        path.write_text(as_markdown(findings), encoding="utf-8")
    return exit_code, findings.failures()


def without_docker(findings: Findings) -> None:
    """Check the kernels in this Python, which needs CuPy.

    Raises
    ------
    DeviceError
        If CuPy is missing, or the GPU cannot be used.
    """
    try:
        speeds = kernels.measure(contract.TILE_SIZES_PX, kernels.BATCHES, Settings.zoom)
    except DeviceError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        raise DeviceError(
            f"there is a GPU, but neither Docker nor CuPy ({error}); install CuPy with "
            ".venv/bin/pip install -e '.[gpu]' to check the kernels (it brings NumPy 2, for which "
            "the embedded server is not made; make clean undoes that), or Docker with the NVIDIA "
            "container toolkit to check everything"
        ) from error
    except RuntimeError as error:  # what CUDA's own errors are
        raise DeviceError(
            f"CuPy cannot use the GPU ({error}); expected one that is free, with a driver for "
            "CUDA 13: look at nvidia-smi"
        ) from error
    findings.kernels = [vars(each) for each in speeds]
    findings.left_out.append(_NEEDS_DOCKER)


def with_docker(findings: Findings, tell: Callable[[str], None], *, largest_tile_px: int) -> None:
    """Check everything, in the image."""
    containers.build(CHECKOUT)
    speeds = containers.kernel_speed()
    findings.machine += f"; CuPy {speeds['cupy']}"
    findings.kernels = speeds["kernels"]  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.tif"
        simulated = preset_film("microtubules", seed=1, frames=200, height_px=64, width_px=64)
        tifffile.imwrite(film, simulated.frames_adu, photometric="minisblack")
        for model in ENSEMBLES:
            with_ensemble(findings, film, model, tell, largest_tile_px=largest_tile_px)


def with_ensemble(
    findings: Findings, film: Path, model: str, tell: Callable[[str], None], *, largest_tile_px: int
) -> None:
    """Check one ensemble, alone in its servers: on the CPU for reference, then on the GPU.

    On the GPU it is served in the precision that the server chooses, in FP32, and with a CUDA
    pool that is far too small. That last server then gets shapes that wrap, which may end it.
    """

    def served(device: str, precision: str = "", flags: Sequence[str] = ()) -> Served:
        name = " ".join([f"{model} on {device}", *filter(None, [precision, *flags])])
        return containers.running(
            [model],
            device=device,
            precision=precision,
            keep_log=partial(findings.logs.__setitem__, name),
            largest_tile_px=largest_tile_px,
            flags=flags,
        )

    with served("cpu", "f32") as container:
        on_cpu = image_of(film, container.server, model)
    with served("gpu") as container:
        chosen = precision_of(container.plan(contract.ENSEMBLES[model].network.name))
        alone = answers_alone(container.server, model, small_request(model))
        on_gpu(findings, container, film, model, on_cpu, tell, largest_tile_px=largest_tile_px)
    if chosen == "FP16":
        with served("gpu", "f32") as container:
            on_gpu(findings, container, film, model, on_cpu, tell, largest_tile_px=largest_tile_px)
    else:
        findings.left_out.append(f"{model} in FP16: the server chose {chosen}, see its log")
    with served("gpu", flags=[f"--cuda-memory-pool-byte-size=0:{SMALL_POOL_BYTES}"]) as container:
        pool = f"{SMALL_POOL_BYTES >> 20} MiB"
        request = small_request(model)
        under_load(findings, container.server, model, request, alone=alone, pool=pool)
        findings.wrapping += answers_to_wrapping_shapes(container.server, model)


def on_gpu(
    findings: Findings,
    container: containers.Container,
    film: Path,
    model: str,
    on_cpu: NDArray[np.float32],
    tell: Callable[[str], None],
    *,
    largest_tile_px: int,
) -> None:
    """Compare, load and measure one ensemble of a server on the GPU, in its precision."""
    server, plan = container.server, container.plan(contract.ENSEMBLES[model].network.name)
    name = f"{model}, {precision_of(plan)}"
    sizes_px = tuple(each for each in contract.TILE_SIZES_PX if each <= largest_tile_px)
    findings.plans.append(plan)
    findings.against_cpu[name] = compare(image_of(film, server, model), on_cpu)
    under_load(findings, server, model, whole_request(model, sizes_px[-1]))
    measure_all(findings, server, model, precision_of(plan), tell, sizes_px=sizes_px)
    findings.gpu_memory_bytes[name] = server.counted(GPU_MEMORY)


def precision_of(plan: Mapping[str, Any]) -> str:
    """Precision of a plan, by its record, in capitals."""
    return str(plan["key"]["precision"]).upper()


def under_load(
    findings: Findings,
    server: Server,
    model: str,
    request: tuple[int, int],
    *,
    alone: Sequence[NDArray[np.int64]] | None = None,
    pool: str = AS_SIZED,
    under_way: int = REQUESTS,
) -> None:
    """Load one ensemble of a running server, and add the result to what was found.

    Without expected images, ``alone``, the server's own to single requests are expected.
    """
    if alone is None:
        alone = answers_alone(server, model, request)
    findings.loads.append(
        answers_under_load(
            server, model, request=request, alone=alone, under_way=under_way, pool=pool
        )
    )


def measure_all(
    findings: Findings,
    server: Server,
    model: str,
    precision: str,
    tell: Callable[[str], None],
    *,
    sizes_px: tuple[int, ...] = contract.TILE_SIZES_PX,
    batches: tuple[int, ...] = BATCHES,
    megapixels: float = MEGAPIXELS,
) -> None:
    """Measure the speed of one ensemble of a running server, and add it to what was found.

    For each size with requests of the given frames, as far as the contract allows them, and with
    whole requests.
    """
    answer = contract.ENSEMBLES[model].answer
    for size_px in sizes_px:
        most = answer.frames_most(size_px, size_px)
        for batch in sorted({most, *(each for each in batches if each < most)}):
            frames = int(megapixels * 1e6 / size_px**2)
            speed = measure(
                server,
                model,
                precision=precision,
                size_px=size_px,
                batch=batch,
                frames=min(max(frames, batch), REQUESTS_MOST * batch),
                in_flight=IN_FLIGHT,
            )
            findings.speeds.append(speed)
            tell(_line(speed))


def image_of(path: Path, server: Server, model: str) -> NDArray[np.float32]:
    """Reconstruct a film through a server: ndarray, shape (Y, X), float32."""
    with (
        open_film(path) as film,
        TritonTransport(Servers.parse(server.address), model=model) as transport,
    ):
        return reconstruct(film, transport, Settings(model=model, refine=REFINE_OFF)).image


def compare(image: NDArray[Any], expected: NDArray[Any]) -> tuple[float, float]:
    """Compare an image with the expected one: NMSE in percent, and ratio of their sums."""
    error = nmse_percent(image.astype(np.float64), expected.astype(np.float64))
    return error, float(image.sum(dtype=np.float64) / expected.sum(dtype=np.float64))


def _line(speed: ServerSpeed) -> str:
    return (
        f"{speed.model} in {speed.precision}, {speed.size_px} px, {speed.batch} frames a request: "
        f"{speed.end_to_end_per_s:.0f} frames/s end to end"
    )


def _gpus() -> str:
    """Names of the GPUs by the driver; empty if there is none."""
    if shutil.which("nvidia-smi") is None:
        return ""
    query = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return "; ".join(query.stdout.split("\n")).strip("; ") if query.returncode == 0 else ""
