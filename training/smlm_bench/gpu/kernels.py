"""The CuPy kernels alone on this machine's GPU: the same bits as NumPy's, and how fast.

``python -m smlm_bench.gpu.kernels`` prints one JSON document; it needs CuPy
and a GPU, and neither Triton nor TensorFlow, so it also runs inside the server's image.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.errors import DeviceError, ReconError
from smlm_pipeline.serving.device import gpu_kernels
from smlm_pipeline.settings import Settings

REPEATS = 10
"""Launches that are timed together, after one that is not."""

BATCHES = (1, 4, 16, contract.MAX_FRAMES_PER_CHUNK)
"""Frames of the chunks that are measured."""

MAP_VALUES_MOST = 1 << 27
"""Largest answer of a map network that is summed, or asked for: 512 MiB of one request."""


@dataclass(frozen=True)
class KernelSpeed:
    """One kernel on one chunk: whether it gives NumPy's bits, and how fast it is.

    The time is that of a call, copies included: of the frames to the GPU by ``normalize``, of
    the image to the host by the sums.
    """

    kernel: str
    size_px: int
    frames: int
    same_bits: bool
    frames_per_s: float
    bytes_to_host_per_frame: float


def measure(sizes_px: Sequence[int], batches: Sequence[int], zoom: int) -> list[KernelSpeed]:
    """Time ``compute.gpu`` on random chunks of each size and number of frames.

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
    mean = adu.mean(axis=0, dtype=np.float64).astype(np.float32)
    levels = np.tile(np.array([100.3, 77.7], np.float32), (frames, 1))
    found = rng.uniform(-1, 1, (frames, 5, size_px, size_px)).astype(np.float32)
    found[:, 0] = rng.random(shape, np.float32) ** 16
    window = np.array([zoom, 0, 0, size_px, size_px], np.int32)
    on_device = cupy.asarray(found)
    done = [
        _timed("normalize", shape, 0, normalize(adu, mean, levels), cupy,
               lambda: device.normalize(adu, mean, levels)),
        _timed("draw", shape, device.FLAG_BYTES, draw(found, window), cupy,
               lambda: device.draw(on_device, window)),
    ]  # fmt: skip
    fine = contract.MAP_ZOOM
    if frames * (fine * size_px) ** 2 <= MAP_VALUES_MOST:
        maps = rng.random((frames, 1, fine * size_px, fine * size_px), np.float32)
        window = np.array([fine, 0, 0, size_px, size_px], np.int32)
        maps_there = cupy.asarray(maps)
        expected = sum_map(maps, window)
        done.append(
            _timed("sum_map", shape, device.FLAG_BYTES, expected, cupy,
                   lambda: device.sum_map(maps_there, window))
        )  # fmt: skip
    return done


def _timed(
    kernel: str,
    shape: tuple[int, int, int],
    flag_bytes: int,
    expected: NDArray[Any],
    cupy: Any,
    work: Callable[[], Any],
) -> KernelSpeed:
    made = work()
    on_host = made if isinstance(made, np.ndarray) else made.get()
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(REPEATS):
        work()
    end.record()
    end.synchronize()
    seconds = cupy.cuda.get_elapsed_time(start, end) / 1e3
    copied = made.nbytes + flag_bytes if isinstance(made, np.ndarray) else 0
    return KernelSpeed(
        kernel=kernel,
        size_px=shape[1],
        frames=shape[0],
        same_bits=bool(np.array_equal(on_host, expected)),
        frames_per_s=REPEATS * shape[0] / seconds,
        bytes_to_host_per_frame=copied / shape[0],
    )


def main() -> int:
    """Measure what `make gpu-check` asks for and print it as JSON."""
    try:
        cupy = importlib.import_module("cupy")
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        speeds = measure(contract.TILE_SIZES_PX, BATCHES, zoom=Settings.zoom)
    except ImportError as error:
        sys.stderr.write(
            f"device_speed: {error}; take the server's image, or install 'smlm-recon[gpu]'\n"
        )
        return DeviceError.exit_code
    except (ReconError, cupy.cuda.runtime.CUDARuntimeError) as error:
        sys.stderr.write(f"device_speed: {error}; it needs an NVIDIA GPU\n")
        return DeviceError.exit_code
    told = {"gpu": name, "cupy": cupy.__version__, "kernels": [asdict(each) for each in speeds]}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
