"""The CuPy kernels alone on this machine's GPU: compared with NumPy's bits, and timed.

Needs CuPy and a GPU, but neither Triton nor TensorFlow, so it runs inside the server's image too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.errors import DeviceError
from smlm_pipeline.serving.device import gpu_kernels
from smlm_pipeline.settings import Settings

REPEATS = 10
"""Launches timed together, after an untimed one."""

BATCHES = (1, 4, 16, contract.MAX_FRAMES_PER_CHUNK)
"""Frames of each measured chunk."""

MAP_VALUES_MOST = 1 << 27
"""Largest answer of a map network to measure: 512 MiB for one request."""


@dataclass(frozen=True)
class KernelSpeed:
    """One kernel on one chunk: whether its bits are NumPy's, and its speed.

    The time of a call includes its copies: ``normalize`` copies frames to the GPU, the sums copy
    the image to the host.
    """

    kernel: str
    size_px: int
    frames: int
    same_bits: bool
    frames_per_s: float
    bytes_to_host_per_frame: float


def measure(sizes_px: Sequence[int], batches: Sequence[int], zoom: int) -> list[KernelSpeed]:
    """Compare and time all kernels on random chunks of each size and number of frames.

    Parameters
    ----------
    sizes_px : sequence of int
        Edges of the frames.
    batches : sequence of int
        Frames of a chunk.
    zoom : int
        SR pixels along a camera pixel.

    Returns
    -------
    list of KernelSpeed
        By size, frames and kernel.

    Raises
    ------
    DeviceError
        If CuPy or the GPU is missing.
    """
    cupy, device = importlib.import_module("cupy"), gpu_kernels()
    rng = np.random.default_rng(0)
    return [
        speed
        for size_px in sizes_px
        for frames in batches
        for speed in _chunk(cupy, device, rng, size_px, frames, zoom)
    ]


def _chunk(
    cupy: Any, device: Any, rng: np.random.Generator, size_px: int, frames: int, zoom: int
) -> list[KernelSpeed]:
    """All kernels on one chunk, each compared with NumPy's."""
    shape = (frames, size_px, size_px)
    adu = rng.integers(90, 1000, shape, np.uint16)
    levels = np.tile(np.array([100.3, 77.7], np.float32), (frames, 1))
    detections = rng.uniform(-1, 1, (frames, 5, size_px, size_px)).astype(np.float32)
    detections[:, 0] = rng.random(shape, np.float32) ** 16
    window = np.array([zoom, 0, 0, size_px, size_px], np.int32)
    on_device = cupy.asarray(detections)
    speeds = [
        _timed("normalize", shape, 0, normalize(adu, levels), cupy,
               lambda: device.normalize(adu, levels)),
        _timed("draw", shape, device.FLAG_BYTES, draw(detections, window), cupy,
               lambda: device.draw(on_device, window)),
    ]  # fmt: skip
    fine = contract.MAP_ZOOM
    if frames * (fine * size_px) ** 2 <= MAP_VALUES_MOST:
        maps = rng.random((frames, 1, fine * size_px, fine * size_px), np.float32)
        window = np.array([fine, 0, 0, size_px, size_px], np.int32)
        maps_there = cupy.asarray(maps)
        expected = sum_map(maps, window)
        speeds.append(
            _timed("sum_map", shape, device.FLAG_BYTES, expected, cupy,
                   lambda: device.sum_map(maps_there, window))
        )  # fmt: skip
    return speeds


def _timed(
    kernel: str,
    shape: tuple[int, int, int],
    flag_bytes: int,
    expected: NDArray[Any],
    cupy: Any,
    work: Callable[[], Any],
) -> KernelSpeed:
    result = work()
    on_host = result if isinstance(result, np.ndarray) else result.get()
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(REPEATS):
        work()
    end.record()
    end.synchronize()
    seconds = cupy.cuda.get_elapsed_time(start, end) / 1e3
    copied = result.nbytes + flag_bytes if isinstance(result, np.ndarray) else 0
    return KernelSpeed(
        kernel=kernel,
        size_px=shape[1],
        frames=shape[0],
        same_bits=bool(np.array_equal(on_host, expected)),
        frames_per_s=REPEATS * shape[0] / seconds,
        bytes_to_host_per_frame=copied / shape[0],
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
