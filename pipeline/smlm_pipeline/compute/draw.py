"""Draw detections on the SR grid, or sum maps, in exact integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute import draw_kernels
from smlm_pipeline.compute.sparse import SparseSums, sparse
from smlm_pipeline.compute.tiles import without_margin
from smlm_pipeline.compute.window import (
    check_class_borders,
    check_map_window,
    check_window,
    class_limits_px2,
)
from smlm_pipeline.errors import ChunkError

NOT_DETECTIONS = (
    "the network answered with a probability that is not within 0 and 1, with an offset beyond "
    f"{contract.MAX_OFFSET_PX:g} px, or with a sigma that is not a positive number"
)
"""Message of the error for ``DETECTIONS`` that cannot be drawn."""

DRAWN_FROM = np.float32(1 / 2048)
"""Probabilities up to this one are not drawn. They are a third to a half of the pixels, and
together less than 0.3 % of the emitters of a sparse film, 0.06 % of those of a dense one; an answer
would have an entry for each."""


def draw(
    detections: NDArray[np.float32],
    window: NDArray[np.int32],
    class_borders_px: NDArray[np.float32],
) -> SparseSums:
    """Draw the detections of a tile's core on the SR grid and sum the frames.

    A detection adds its probability, rounded to 2^-16, to the one SR pixel
    ``floor(position * zoom)`` in the image of its precision class. Weights are integers, so the
    sum does not depend on the order of frames, and partial sums add up exactly. Intensities are
    not read: an image counts molecules, however bright.

    Parameters
    ----------
    detections : ndarray, shape (N, 7, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    window : ndarray, shape (7,), int32
        ``contract.WINDOW``.
    class_borders_px : ndarray, shape (3,), float32
        ``contract.CLASS_BORDERS``.

    Returns
    -------
    SparseSums
        Of the image (S, (height + 2) * zoom, (width + 2) * zoom): core and margin, class by
        class, in units of 2^-16 emitters.

    Raises
    ------
    ChunkError
        If the window or the borders are not within the contract, or a detection is invalid.
    """
    asked = check_window(window, *detections.shape[2:])
    check_class_borders(class_borders_px, asked.classes)
    limits_px2 = class_limits_px2(class_borders_px, asked.classes)
    detections = _read_only(detections)
    core_px = asked.top_px, asked.left_px, asked.height_px, asked.width_px
    top, left, height, width = core_px
    probability = detections[:, 0, top : top + height, left : left + width]
    drawn = int(np.count_nonzero(probability > DRAWN_FROM))
    row, column, weight = (np.empty(drawn, np.int32) for _ in range(3))
    count = np.zeros(asked.classes * asked.shape[1], np.int64)
    places = row, column, weight, count
    found = draw_kernels.find(detections, core_px, asked.zoom, DRAWN_FROM, limits_px2, *places)
    if found != drawn:
        raise ChunkError(NOT_DETECTIONS)
    place = np.cumsum(count) - count
    ordered = np.empty(drawn, np.int32), np.empty(drawn, np.int32)
    draw_kernels.by_row(row, column, weight, place, *ordered)
    index, sums = np.empty(drawn, np.int64), np.empty(drawn, np.int64)
    pixels = draw_kernels.sum_rows(*ordered, place, asked.shape[2], index, sums)
    return SparseSums(index[:pixels], sums[:pixels])


def _read_only(detections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Detections in one piece; Numba compiles for arrays that may be written, or others, apart."""
    detections = np.ascontiguousarray(detections).view()
    detections.flags.writeable = False
    return detections


def sum_answers(
    answers: NDArray[np.float32],
    window: NDArray[np.int32],
    class_borders_px: NDArray[np.float32],
    kind: contract.Answer,
) -> SparseSums:
    """Sum a network's answers to N frames over a tile's core: `sum_map` or `draw`."""
    if kind.makes_maps:
        return sum_map(answers, window)
    return draw(answers, window, class_borders_px)


def sum_map(maps: NDArray[np.float32], window: NDArray[np.int32]) -> SparseSums:
    """Sum the maps of N frames over a tile's core.

    Each value is rounded to 2^-16 emitters, and negative values are taken as zero, so
    the sum does not depend on the order of frames, as in `draw`. The margin stays empty.

    Parameters
    ----------
    maps : ndarray, shape (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
        Expected emitters per SR pixel.
    window : ndarray, shape (7,), int32
        ``contract.WINDOW``, of one class and without molecules.

    Returns
    -------
    SparseSums
        Of the image (1, (height + 2) * MAP_ZOOM, (width + 2) * MAP_ZOOM): core and margin, in
        units of 2^-16 emitters.

    Raises
    ------
    ChunkError
        If the zoom is not the map's, the window is not within the contract, or a value is
        invalid.
    """
    asked = check_map_window(window, *maps.shape[2:])
    fine = contract.MAP_ZOOM
    core_px = (asked.top_px, asked.left_px, asked.height_px, asked.width_px)
    top, left, height, width = (fine * size_px for size_px in core_px)
    core = maps[:, 0, top : top + height, left : left + width]
    most = most_in_map(len(maps))
    image = np.zeros(asked.shape[1:], np.int32)
    summed = without_margin(image, fine)
    for frame in core:  # frame by frame stays in the cache
        if not (np.isfinite(frame.min()) and float(frame.max()) < most):
            raise ChunkError(not_a_map(most))
        units = np.maximum(frame, 0)
        units *= contract.WEIGHT_ONE
        summed += np.rint(units, out=units).astype(np.int32)
    return sparse(image)


def most_in_map(frame_count: int) -> float:
    """Return the limit of a value of one frame, in emitters: N frames must not overflow the sum.

    It is a whole number of units, so that no value below is rounded to more.
    """
    return (2**31 - 1) // frame_count / contract.WEIGHT_ONE


def not_a_map(most: float) -> str:
    """Return the message of the error for a ``MAP`` that cannot be summed."""
    return (
        "the network answered with a number of emitters that is not a number, or above "
        f"{most:.0f} in one SR pixel"
    )
