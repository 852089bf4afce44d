"""Draw detections on the SR grid, or sum maps, in exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import check_map_window, check_window, image_shape, without_margin
from smlm_pipeline.errors import ChunkError

NOT_DETECTIONS = (
    "the network answered with a probability that is not within 0 and 1, or an offset that is not "
    "a number"
)
"""Message of the error for ``DETECTIONS`` that cannot be drawn."""


def sum_answers(
    answers: NDArray[np.float32], window: NDArray[np.int32], kind: contract.Answer
) -> NDArray[np.int32]:
    """Sum a network's answers to N frames over a tile's core: `sum_map` or `draw`."""
    return sum_map(answers, window) if kind.makes_maps else draw(answers, window)


def draw(detections: NDArray[np.float32], window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Draw the detections of a tile's core on the SR grid and sum the frames.

    A detection adds its probability, rounded to 2^-16, to the one SR pixel
    ``floor(position * zoom)``. Weights are integers, so the sum does not depend
    on the order of frames, and partial sums add up exactly.

    Parameters
    ----------
    detections : ndarray, shape (N, 5, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    window : ndarray, shape (5,), int32
        zoom, core y, core x, core height, core width, in camera pixels.

    Returns
    -------
    ndarray, shape ((height + 2) * zoom, (width + 2) * zoom), int32
        Core and margin, in units of 2^-16 emitters.

    Raises
    ------
    ChunkError
        If the core is not within the tile, or a detection is invalid.
    """
    zoom, top, left, height, width = check_window(window, *detections.shape[2:])
    core = detections[:, :, top : top + height, left : left + width]
    finite = np.isfinite(core[:, 1:3].sum(dtype=np.float64))  # one that is not spoils the sum
    if not (core[:, 0].min() >= 0 and core[:, 0].max() <= 1 and finite):
        raise ChunkError(NOT_DETECTIONS)
    shape = image_shape(zoom, height, width)
    image = np.zeros(shape, np.int32)
    for probability, offset_y_px, offset_x_px in core[:, :3]:  # frame by frame stays in the cache
        weights = np.rint(probability * np.float32(contract.WEIGHT_ONE)).astype(np.int32)
        index = _sr_index(offset_y_px, zoom, shape[0], axis=0)
        index *= shape[1]
        index += _sr_index(offset_x_px, zoom, shape[1], axis=1)
        np.add.at(image.ravel(), index.ravel(), weights.ravel())
    return image


def _sr_index(
    offset_px: NDArray[np.float32], zoom: int, size: int, *, axis: int
) -> NDArray[np.intp]:
    """Return the index of each detection on the SR grid, margin included, along one axis."""
    pixel = np.arange(offset_px.shape[axis]) + contract.MARGIN_PX
    near = np.clip(offset_px, np.float32(-size), np.float32(size))  # beyond is outside anyway
    within = np.floor((near + np.float32(0.5)) * np.float32(zoom)).astype(np.intp)
    within += np.expand_dims(pixel * zoom, 1 - axis)
    clipped: NDArray[np.intp] = np.clip(within, 0, size - 1, out=within)
    return clipped


def sum_map(maps: NDArray[np.float32], window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum the maps of N frames over a tile's core.

    Each value is rounded to 2^-16 emitters, and negative values are taken as zero, so
    the sum does not depend on the order of frames, as in `draw`. The margin stays empty.

    Parameters
    ----------
    maps : ndarray, shape (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
        Expected emitters per SR pixel.
    window : ndarray, shape (5,), int32
        zoom, core y, core x, core height, core width, in camera pixels.

    Returns
    -------
    ndarray, shape ((height + 2) * MAP_ZOOM, (width + 2) * MAP_ZOOM), int32
        Core and margin, in units of 2^-16 emitters.

    Raises
    ------
    ChunkError
        If the zoom is not the map's, the core is not within the tile, or a value is
        invalid.
    """
    core_px = check_map_window(window, *maps.shape[2:])
    fine = contract.MAP_ZOOM
    top, left, height, width = (fine * size_px for size_px in core_px)
    core = maps[:, 0, top : top + height, left : left + width]
    most = most_in_map(len(maps))
    image = np.zeros(image_shape(fine, *core_px[2:]), np.int32)
    summed = without_margin(image, fine)
    for frame in core:  # frame by frame stays in the cache
        if not (np.isfinite(frame.min()) and float(frame.max()) < most):
            raise ChunkError(not_a_map(most))
        units = np.maximum(frame, 0)
        units *= contract.WEIGHT_ONE
        summed += np.rint(units, out=units).astype(np.int32)
    return image


def most_in_map(frame_count: int) -> float:
    """Return the limit of a value of one frame, in emitters: N frames must not overflow the sum."""
    return (2**31 - 1) / (contract.WEIGHT_ONE * frame_count)


def not_a_map(most: float) -> str:
    """Return the message of the error for a ``MAP`` that cannot be summed."""
    return (
        "the network answered with a number of emitters that is not a number, or above "
        f"{most:.0f} in one SR pixel"
    )


def emitters(sums: NDArray[np.integer[Any]], zoom: int) -> NDArray[np.float64]:
    """Emitters per SR pixel, shape (zoom Y, zoom X), of a sum that still has its margin.

    Parameters
    ----------
    sums : ndarray, shape ((Y + 2) * zoom, (X + 2) * zoom), integer
        In units of 1 / ``WEIGHT_ONE`` emitters.
    zoom : int
        SR pixels along the edge of a camera pixel.
    """
    image: NDArray[np.float64] = without_margin(sums, zoom) / contract.WEIGHT_ONE
    return image
