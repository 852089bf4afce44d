"""Draw detections on the SR grid, or sum maps, in exact integers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums, sparse
from smlm_pipeline.compute.tiles import without_margin
from smlm_pipeline.compute.window import (
    Window,
    check_class_borders,
    check_map_window,
    check_window,
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

_BAND_PX = 16
"""Rows of camera pixels that are drawn at a time, of all frames: their image stays in the cache."""


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
    borders_px2 = class_limits_px2(class_borders_px, asked.classes)
    rows = slice(asked.top_px, asked.top_px + asked.height_px)
    columns = slice(asked.left_px, asked.left_px + asked.width_px)
    core = detections[:, :, rows, columns]
    by_class: list[list[SparseSums]] = [[] for _ in range(asked.classes)]
    for top, image in _drawn_bands(core, asked, borders_px2):
        for number, sums in enumerate(map(sparse, image)):
            first = (number * asked.shape[1] + top) * asked.shape[2]
            by_class[number].append(SparseSums(sums.index + first, sums.weight))
    bands = list(itertools.chain.from_iterable(by_class))
    return SparseSums(
        np.concatenate([band.index for band in bands]),
        np.concatenate([band.weight for band in bands]),
    )


def _drawn_bands(
    core: NDArray[np.float32], asked: Window, limits_px2: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """First row and image (S, rows, width) of each band of the window's image, from the top.

    A detection points up to ``MARGIN_PX`` out of the band of its camera pixel, so the rows that
    two bands share are drawn by both. An image is valid until the next one is asked for.
    """
    zoom, shared = asked.zoom, 2 * contract.MARGIN_PX * asked.zoom
    band = replace(asked, height_px=min(_BAND_PX, asked.height_px))
    image = np.zeros(band.shape, np.int32)
    corners = _corners(band)
    for top_px in range(0, asked.height_px, _BAND_PX):
        block = core[:, :, top_px : top_px + _BAND_PX]
        count, _, height_px, width_px = block.shape
        places = np.tile(corners[: height_px * width_px], count)
        _draw_block(image.reshape(-1), block, band, places, limits_px2)
        end = height_px * zoom
        last = top_px + height_px == asked.height_px
        yield top_px * zoom, image[:, : end + shared if last else end]
        image[:, :shared] = image[:, end : end + shared].copy()
        image[:, shared:] = 0


def class_limits_px2(class_borders_px: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Borders (S - 1,) in the terms that are compared: sigma y ** 2 + sigma x ** 2."""
    borders = class_borders_px[: classes - 1]
    limits: NDArray[np.float32] = np.float32(2) * borders * borders
    return limits


def _corners(asked: Window) -> NDArray[np.int32]:
    """Place of the first SR pixel of each camera pixel of the core, (height * width,)."""
    row_px = np.arange(asked.height_px, dtype=np.int32) + contract.MARGIN_PX
    column_px = np.arange(asked.width_px, dtype=np.int32) + contract.MARGIN_PX
    corners = asked.zoom * (asked.shape[2] * row_px[:, None] + column_px)
    return corners.ravel().astype(np.int32)


def _draw_block(
    image: NDArray[np.int32],
    block: NDArray[np.float32],
    asked: Window,
    corners: NDArray[np.int32],
    limits_px2: NDArray[np.float32],
) -> None:
    """Add the detections (N, 7, height, width) of a band to its flat image."""
    probability = block[:, 0].reshape(-1)
    if not (probability.min() >= 0 and probability.max() <= 1):
        raise ChunkError(NOT_DETECTIONS)
    drawn = np.flatnonzero(probability > DRAWN_FROM)
    weight = probability[drawn]
    weight *= contract.WEIGHT_ONE
    index = corners[drawn]
    index += asked.shape[2] * _within_pixel(block[:, 1].reshape(-1)[drawn], asked.zoom)
    index += _within_pixel(block[:, 2].reshape(-1)[drawn], asked.zoom)
    if asked.classes > 1:
        sigma_y_px, sigma_x_px = (block[:, channel].reshape(-1)[drawn] for channel in (3, 4))
        index += asked.size // asked.classes * _classes(sigma_y_px, sigma_x_px, limits_px2)
    np.add.at(image, index.astype(np.intp), np.rint(weight, out=weight).astype(np.int32))


def _within_pixel(offset_px: NDArray[np.float32], zoom: int) -> NDArray[np.int32]:
    """SR pixels from the first one of the detection's camera pixel, along one axis."""
    if not np.abs(offset_px).max(initial=0) <= contract.MAX_OFFSET_PX:
        raise ChunkError(NOT_DETECTIONS)
    offset_px += np.float32(0.5)
    offset_px *= np.float32(zoom)
    return np.floor(offset_px, out=offset_px).astype(np.int32)


def _classes(
    sigma_y_px: NDArray[np.float32],
    sigma_x_px: NDArray[np.float32],
    limits_px2: NDArray[np.float32],
) -> NDArray[np.int32]:
    """The precision class of each detection: the number of borders below its sigma."""
    with np.errstate(over="ignore"):  # infinity is refused
        spread_px2 = sigma_y_px * sigma_y_px + sigma_x_px * sigma_x_px
    smallest_px = np.minimum(sigma_y_px, sigma_x_px).min(initial=1)
    if not (smallest_px > 0 and spread_px2.max(initial=0) < np.inf):
        raise ChunkError(NOT_DETECTIONS)
    found = np.zeros(len(spread_px2), np.int32)
    for limit_px2 in limits_px2:
        found += spread_px2 > limit_px2
    return found


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
