"""Requests to ``compute.gpu``, over a GPU's CuPy or over the one of the host."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.compute.candidates import Candidates
from smlm_pipeline.compute.draw import DRAWN_FROM, draw
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError

BORDERS_PX = np.array([0.1, 0.15, 0.25], np.float32)
CORES_PX = [(0, 0, 12, 16), (3, 2, 7, 9), (11, 15, 1, 1), (0, 4, 12, 1)]
"""Top, left, height and width in a tile of 12 x 16 camera pixels."""

WHOLE = Window(8, 0, 0, 12, 16)


def there(device: ModuleType, answers: NDArray[np.float32]) -> tuple[Any, Any]:
    """What computes on the GPU, and the answers on it."""
    on_device = device.cupy.asarray(answers)
    return device.gpu_of(on_device), on_device


def draw_there(
    device: ModuleType,
    detections: NDArray[np.float32],
    window: Window | NDArray[np.int32],
    borders_px: NDArray[np.float32] = BORDERS_PX,
) -> SparseSums:
    gpu, on_device = there(device, detections)
    sums: SparseSums = gpu.draw(on_device, tensor(window), borders_px)
    return sums


def drawn(detections: NDArray[np.float32], window: Window) -> SparseSums:
    """What the host draws."""
    return draw(detections, window.as_tensor(), BORDERS_PX)


def sum_map_there(
    device: ModuleType, maps: NDArray[np.float32], window: Window | NDArray[np.int32]
) -> SparseSums:
    gpu, on_device = there(device, maps)
    sums: SparseSums = gpu.sum_map(on_device, tensor(window))
    return sums


def candidates_there(device: ModuleType, detections: NDArray[np.float32]) -> Candidates:
    gpu, on_device = there(device, detections)
    found: Candidates = gpu.candidates(on_device)
    return found


def tensor(window: Window | NDArray[np.int32]) -> NDArray[np.int32]:
    return window.as_tensor() if isinstance(window, Window) else window


def same(found: Any, expected: Any) -> None:
    """Every array of two dataclasses, to the bit and the type."""
    for name, values in vars(expected).items():
        assert getattr(found, name).dtype == values.dtype, name
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


def detections(
    frames: int, height_px: int, width_px: int, *, seed: int, share: float = 0.2
) -> NDArray[np.float32]:
    """Detections with something in a share of the pixels, and nothing that counts elsewhere."""
    rng = np.random.default_rng(seed)
    shape = (frames, height_px, width_px)
    found = rng.uniform(-1, 1, (frames, 7, *shape[1:])).astype(np.float32)
    found[:, 0] = np.where(rng.random(shape) < share, rng.random(shape), DRAWN_FROM)
    found[:, 3:] = rng.choice([*BORDERS_PX, 0.05, 1e-30, 1e18], (frames, 4, *shape[1:]))
    nothing = np.broadcast_to((found[:, :1] <= DRAWN_FROM), found.shape) & (rng.random() < 0.5)
    nothing[:, 0] = False
    found[nothing] = np.nan
    return found


def zeros(frames: int, height_px: int, width_px: int) -> NDArray[np.float32]:
    """No detection, of positive sigmas."""
    found = np.zeros((frames, 7, height_px, width_px), np.float32)
    found[:, 3:] = 1
    return found


def refused(work: Callable[[], object]) -> str:
    """The message with which a request is refused."""
    with pytest.raises(ChunkError) as raised:
        work()
    return str(raised.value)
