"""The CuPy kernels alone on this machine's GPU: compared with NumPy's bits, and timed.

Needs CuPy and a GPU, but neither Triton nor TensorFlow, so it runs inside the server's image too.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import DeviceError
from smlm_pipeline.serving.device import gpu_kernels, gpu_of
from smlm_pipeline.settings import Settings

REPEATS = 10
"""Calls timed together, after an untimed one."""

BATCHES = (1, 16, contract.MAX_FRAMES)
"""Frames of each measured chunk, as far as the contract allows them for its size."""

DRAWN_SHARE = 0.23
"""Camera pixels of a frame with a detection: after 32 frames, 11 % of the SR pixels at zoom 8 are
not zero, as in dense films."""

CLASS_BORDERS_PX = (0.1, 0.2, 0.3)
"""Of four precision classes, about equally full."""


@dataclass(frozen=True)
class KernelSpeed:
    """One step on one chunk: whether its bits are NumPy's, and its speed.

    The time of a call includes its copies to the host.
    """

    kernel: str
    size_px: int
    frames: int
    same_bits: bool
    frames_per_s: float
    bytes_to_host_per_frame: float


def measure(sizes_px: Sequence[int], batches: Sequence[int], zoom: int) -> list[KernelSpeed]:
    """Compare and time all steps on random chunks of each size and number of frames.

    Parameters
    ----------
    sizes_px : sequence of int
        Edges of the frames.
    batches : sequence of int
        Frames of a chunk; as many as the contract allows where these are more.
    zoom : int
        SR pixels along a camera pixel.

    Returns
    -------
    list of KernelSpeed
        By size, kind of answer, frames and step.

    Raises
    ------
    DeviceError
        If CuPy or the GPU is missing.
    """
    gpu_kernels().compile_kernels()
    rng = np.random.default_rng(0)
    return [
        speed
        for size_px in sizes_px
        for answer in contract.ANSWERS
        for frames in _allowed(batches, answer, size_px)
        for speed in (
            _of_maps(rng, size_px, frames)
            if answer.makes_maps
            else _of_detections(rng, size_px, frames, zoom)
        )
    ]


def _allowed(batches: Sequence[int], answer: contract.Answer, size_px: int) -> list[int]:
    most = answer.frames_most(size_px, size_px)
    return sorted({min(each, most) for each in batches})


def _of_detections(
    rng: np.random.Generator, size_px: int, frames: int, zoom: int
) -> Iterator[KernelSpeed]:
    shape = (frames, size_px, size_px)
    detections = rng.uniform(-1, 1, (frames, 7, size_px, size_px)).astype(np.float32)
    detections[:, 0] = np.where(rng.random(shape) < DRAWN_SHARE, rng.random(shape), 0)
    detections[:, 3:] = rng.uniform(0.01, 0.4, detections[:, 3:].shape)
    borders_px = np.array(CLASS_BORDERS_PX, np.float32)
    there, gpu = _on_gpu(detections)
    for classes in (1, contract.MAX_CLASSES):
        window = Window(zoom, 0, 0, size_px, size_px, classes).as_tensor()
        expected = draw(detections, window, borders_px)

        def work(window: NDArray[np.int32] = window) -> Any:
            return gpu.draw(there, window, borders_px)

        yield _timed(f"draw, classes: {classes}", shape, gpu, expected, work)
    yield _timed("candidates", shape, gpu, candidates(detections), lambda: gpu.candidates(there))


def _of_maps(rng: np.random.Generator, size_px: int, frames: int) -> Iterator[KernelSpeed]:
    fine = contract.MAP_ZOOM
    maps = rng.random((frames, 1, fine * size_px, fine * size_px), np.float32)
    window = Window(fine, 0, 0, size_px, size_px).as_tensor()
    there, gpu = _on_gpu(maps)
    expected = sum_map(maps, window)
    shape = (frames, size_px, size_px)
    yield _timed("sum_map", shape, gpu, expected, lambda: gpu.sum_map(there, window))


def _on_gpu(answers: NDArray[np.float32]) -> tuple[Any, Any]:
    """The answers on the GPU, and what computes there."""
    there = importlib.import_module("cupy").asarray(answers)
    return there, gpu_of(there)


def _timed(
    kernel: str, shape: tuple[int, int, int], gpu: Any, expected: Any, work: Callable[[], Any]
) -> KernelSpeed:
    found = work()
    gpu.take_bytes_to_host()
    start_s = time.perf_counter()
    for _ in range(REPEATS):  # each returns when its result is on the host
        work()
    took_s = time.perf_counter() - start_s
    return KernelSpeed(
        kernel=kernel,
        size_px=shape[1],
        frames=shape[0],
        same_bits=all(
            np.array_equal(values, getattr(found, name)) for name, values in vars(expected).items()
        ),
        frames_per_s=REPEATS * shape[0] / took_s,
        bytes_to_host_per_frame=gpu.take_bytes_to_host() / (REPEATS * shape[0]),
    )


def report() -> dict[str, object]:
    """Measure what ``recon-bench gpu-check`` needs.

    Returns
    -------
    dict of str to object
        ``gpu``, ``cupy`` (its version) and ``kernels`` (one dict for each ``KernelSpeed``).

    Raises
    ------
    DeviceError
        If CuPy is missing, or the GPU cannot be used.
    """
    try:
        cupy = importlib.import_module("cupy")
        gpu = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        speeds = measure(contract.TILE_SIZES_PX, BATCHES, zoom=Settings.zoom)
    except ImportError as error:
        raise DeviceError(
            f"{error}; use the server's image, or install 'smlm-recon[gpu]'"
        ) from error
    except (DeviceError, RuntimeError) as error:  # CUDA's own errors are RuntimeErrors
        raise DeviceError(f"{error}; expected an NVIDIA GPU that CuPy can use") from error
    return {"gpu": gpu, "cupy": cupy.__version__, "kernels": [asdict(speed) for speed in speeds]}
