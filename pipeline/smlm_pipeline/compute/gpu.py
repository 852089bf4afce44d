"""Normalisation and sums on a GPU, with the same bits as `compute.normalize` and `compute.draw`.

CuPy compiles ``gpu.cu`` and provides the memory. Inputs stay where they are; `draw` and
`sum_map` copy only their sum to the host, at once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import NOT_DETECTIONS, most_in_map, not_a_map
from smlm_pipeline.compute.normalize import NORMALIZED_MAX, check_frames, check_levels
from smlm_pipeline.compute.tiles import check_map_window, check_window, image_shape
from smlm_pipeline.errors import ChunkError

OPTIONS = ("--fmad=false", "--prec-div=true", "--ftz=false")
"""Options of the compiler: every operation rounds as in IEEE 754, and so as in NumPy."""

THREADS, BLOCKS_MOST = 256, 65_535
"""Threads of a block, and most blocks of a launch; kernels stride over what is left."""

FLAG_BYTES = 4
"""One more integer after the summed image: whether an answer is invalid."""


def source() -> str:
    """The CUDA source of all kernels."""
    return resources.files("smlm_pipeline.compute").joinpath("gpu.cu").read_text("utf-8")


@functools.cache
def _module() -> cupy.RawModule:
    return cupy.RawModule(code=source(), options=OPTIONS)


def compile_kernels() -> None:
    """Compile for the current device, so that no request waits for it."""
    for name in ("normalize", "draw", "sum_map"):
        _module().get_function(name)


def normalize(frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]) -> cupy.ndarray:
    """Normalise on the current device; frames are copied to it as 16-bit integers.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, H, W), uint16
        Frames of one tile, on the host or on the device.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame, on the host.

    Returns
    -------
    cupy.ndarray, shape (N, 1, H, W), float32
        The input of networks, on the device.

    Raises
    ------
    ChunkError
        As `compute.normalize.normalize`.
    """
    check_frames(frames_adu.shape, levels_adu.shape)
    check_levels(levels_adu)
    count, height_px, width_px = frames_adu.shape
    pixels = height_px * width_px
    normalized = cupy.empty((count, 1, height_px, width_px), np.float32)
    inputs = [cupy.ascontiguousarray(cupy.asarray(each)) for each in (frames_adu, levels_adu)]
    sizes = (np.int32(count), np.int32(pixels), np.float32(NORMALIZED_MAX))
    _launch("normalize", count * pixels, (*inputs, normalized, *sizes))
    return normalized


def sum_answers(
    answers: cupy.ndarray, window: NDArray[np.int32], kind: contract.Answer
) -> NDArray[np.int32]:
    """Sum a network's answers on the device that they are on: `sum_map` or `draw`."""
    return sum_map(answers, window) if kind.makes_maps else draw(answers, window)


def draw(detections: cupy.ndarray, window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Draw detections on the device that they are on; the image is on the host.

    Parameters
    ----------
    detections : cupy.ndarray, shape (N, 5, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``, on a device.
    window : ndarray, shape (5,), int32
        zoom, core y, core x, core height, core width, in camera pixels, on the host.

    Returns
    -------
    ndarray, shape ((height + 2) * zoom, (width + 2) * zoom), int32
        Core and margin, in units of 2^-16 emitters, on the host.

    Raises
    ------
    ChunkError
        As `compute.draw.draw`.
    """
    count, channels, *tile_px = detections.shape
    zoom, *core_px = check_window(window, *tile_px)
    shape = image_shape(zoom, *core_px[2:])
    sizes = (count, channels, *tile_px, *core_px, zoom, contract.MARGIN_PX)
    given = (*map(np.int32, sizes), np.float32(contract.WEIGHT_ONE))
    work = count * core_px[2] * core_px[3]
    return _summed("draw", detections, shape, given, work, NOT_DETECTIONS)


def sum_map(maps: cupy.ndarray, window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum maps on the device that they are on; the image is on the host.

    Parameters
    ----------
    maps : cupy.ndarray, shape (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
        Expected emitters per SR pixel, on a device.
    window : ndarray, shape (5,), int32
        zoom, core y, core x, core height, core width, in camera pixels, on the host.

    Returns
    -------
    ndarray, shape ((height + 2) * MAP_ZOOM, (width + 2) * MAP_ZOOM), int32
        Core and margin, in units of 2^-16 emitters, on the host.

    Raises
    ------
    ChunkError
        As `compute.draw.sum_map`.
    """
    count, _, *map_size = maps.shape
    core_px = check_map_window(window, *map_size)
    fine, most = contract.MAP_ZOOM, most_in_map(count)
    shape = image_shape(fine, *core_px[2:])
    core = [fine * size_px for size_px in core_px]
    sizes = (count, *map_size, *core, fine * contract.MARGIN_PX)
    given = (*map(np.int32, sizes), np.float32(contract.WEIGHT_ONE), np.float64(most))
    return _summed("sum_map", maps, shape, given, core[2] * core[3], not_a_map(most))


def _summed(
    kernel: str,
    found: cupy.ndarray,
    shape: tuple[int, int],
    given: Sequence[Any],
    work: int,
    complaint: str,
) -> NDArray[np.int32]:
    """Sum with a kernel over N frames, and copy image and flag to the host at once."""
    with found.device:
        summed = cupy.zeros(shape[0] * shape[1] + 1, np.int32)
        _launch(kernel, work, (cupy.ascontiguousarray(found), summed, *given))
        on_host: NDArray[np.int32] = summed.get()
    if on_host[-1]:
        raise ChunkError(complaint)
    return on_host[:-1].reshape(shape)


def _launch(kernel: str, work: int, arguments: Sequence[Any]) -> None:
    blocks = min(-(-work // THREADS), BLOCKS_MOST)
    _module().get_function(kernel)((blocks,), (THREADS,), tuple(arguments))
