"""The arithmetic between a camera frame and the summed image, in NumPy alone.

The same functions run in training, in the in-process engine and inside the
Python models of the server, so there is one definition of a level, of a
normalised frame and of where a detection is drawn.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ChunkError

Reading = TypeVar("Reading", np.uint16, np.float32)

TEMPORAL_FRAMES_MIN = 8
"""With fewer frames than this, fluctuations are taken over space, not time."""

SIGNIFICANCE = 3.0
"""Standard errors by which a cumulant must exceed zero to be believed."""

BACKGROUND_RANKS = (0.02, 0.20)
"""Background is the mean of the pixel values between these two ranks."""


NORMALIZED_MAX = 16.0
"""Largest normalised value: one molecule peaks at about 2, the densest crossings somewhat above."""

NOT_DETECTIONS = (
    "the network answered with a probability that is not within 0 and 1, or an offset that is not "
    "a number"
)
"""What a network hears whose ``DETECTIONS`` cannot be drawn."""


def spread_evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, first and last among them."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
    return chosen


def film_levels(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Background and scale of a film, from a sample of its whole frames.

    The scale is the ratio of the third to the second cross-cumulant of
    neighbouring pixels' fluctuations in time. For molecules that blink
    independently both are proportional to the number of molecules (Campbell's
    theorem; used for imaging by Dertinger et al., doi 10.1073/pnas.0907866106), so
    their ratio measures how bright one molecule is and depends neither on how
    many there are, nor on where, nor on the background. Cross-cumulants of
    distinct pixels (doi 10.1364/OE.18.018875) leave out the camera's noise and
    its flickering pixels, which are independent from pixel to pixel.

    Both numbers follow gain and offset of the camera, so that
    ``(frame - background) / scale`` does not change with them.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Whole frames, in ADU; T of about a hundred is plenty.

    Returns
    -------
    ndarray, shape (2,), float32
        Background and scale, in ADU. The scale falls back to the standard
        deviation of the fluctuations where no blinking shows, and to 1 where
        nothing fluctuates.
    """
    background_adu = _trimmed_mean(frames_adu)
    scale_adu = _molecule_scale(frames_adu)
    return np.array([background_adu, scale_adu], np.float32)


def _trimmed_mean(frames_adu: NDArray[np.uint16]) -> float:
    """Mean of the pixel values between the two ``BACKGROUND_RANKS``."""
    counts = np.zeros(1 << 16)
    for frame in frames_adu:  # one at a time: bincount widens what it is given
        counts += np.bincount(frame.ravel(), minlength=1 << 16)
    low, high = (rank * counts.sum() for rank in BACKGROUND_RANKS)
    cumulated = np.cumsum(counts)
    inside = np.clip(np.minimum(cumulated, high) - np.maximum(cumulated - counts, low), 0, None)
    return float(inside @ np.arange(1 << 16) / inside.sum())


def _molecule_scale(frames_adu: NDArray[np.uint16]) -> float:
    count = len(frames_adu)
    temporal = count >= TEMPORAL_FRAMES_MIN
    mean_adu = frames_adu.mean(axis=0, dtype=np.float64)
    variance, second, third = (np.empty(count) for _ in range(3))
    for index, frame in enumerate(frames_adu):
        centred = frame - (mean_adu if temporal else frame.mean(dtype=np.float64))
        here, right, below = centred[:-1, :-1], centred[:-1, 1:], centred[1:, :-1]
        variance[index] = np.mean(centred * centred)
        second[index] = np.mean(here * (right + below)) / 2
        third[index] = np.mean(here * right * below)
    if temporal:  # unbiased for a mean that was estimated from the same frames
        second *= count / (count - 1)
        third *= count**2 / ((count - 1) * (count - 2))
    if _significant(second) and _significant(third):
        return float(third.mean() / second.mean())
    return float(np.sqrt(variance.mean())) or 1.0


def _significant(per_frame: NDArray[np.float64]) -> bool:
    """Whether the mean over frames exceeds zero by ``SIGNIFICANCE`` standard errors."""
    error = per_frame.std() / np.sqrt(len(per_frame))
    return bool(per_frame.mean() > SIGNIFICANCE * error)


def normalize(
    frames_adu: NDArray[np.uint16], mean_adu: NDArray[np.float32], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(value - background) / scale of frames and their film's mean, at most ``NORMALIZED_MAX``.

    The limit keeps a saturated pixel or a bright bead from outshining all that
    the network sees around it.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, H, W), uint16
        Frames of one tile.
    mean_adu : ndarray, shape (H, W), float32
        Mean of the film's frames over the same tile.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame.

    Returns
    -------
    ndarray, shape (N, 2, H, W), float32
        Channels of ``contract.NORMALIZED_CHANNELS``, as the network reads them.

    Raises
    ------
    ChunkError
        If shapes do not fit the contract, a level or a mean is not finite, or a
        scale is not positive.
    """
    check_frames(frames_adu.shape, mean_adu.shape, levels_adu.shape)
    check_levels(mean_adu, levels_adu)
    background, scale = levels_adu[:, 0, None, None], levels_adu[:, 1, None, None]
    shape = (len(frames_adu), len(contract.NORMALIZED_CHANNELS), *mean_adu.shape)
    normalized = np.empty(shape, np.float32)
    normalized[:, 0] = frames_adu
    normalized[:, 1] = mean_adu
    normalized -= background[:, None]
    normalized /= scale[:, None]
    np.minimum(normalized, np.float32(NORMALIZED_MAX), out=normalized)
    return normalized


def check_frames(
    frames_shape: tuple[int, ...], mean_shape: tuple[int, ...], levels_shape: tuple[int, ...]
) -> None:
    """Refuse frames that the network cannot take, before memory is spent on them.

    Raises
    ------
    ChunkError
        If FRAMES is not (N, H, W) with edges in multiples of the contract's and no more
        frames than it allows, FILM_MEAN is not (H, W), or LEVELS is not (N, 2).
    """
    multiple = contract.SIZE_MULTIPLE_PX
    if len(frames_shape) != 3 or min(frames_shape) < 1:
        raise ChunkError(f"FRAMES has shape {frames_shape}; expected frames, height, width")
    if frames_shape[1] % multiple or frames_shape[2] % multiple:
        raise ChunkError(
            f"FRAMES is {frames_shape[1]} x {frames_shape[2]} pixels; "
            f"expected multiples of {multiple}: pad the tile"
        )
    if frames_shape[0] > contract.MAX_FRAMES_PER_CHUNK:
        raise ChunkError(
            f"FRAMES holds {frames_shape[0]} frames; expected at most "
            f"{contract.MAX_FRAMES_PER_CHUNK}: send smaller chunks"
        )
    if mean_shape != frames_shape[1:]:
        raise ChunkError(f"FILM_MEAN has shape {mean_shape}; expected {frames_shape[1:]}")
    if levels_shape != (frames_shape[0], 2):
        raise ChunkError(f"LEVELS has shape {levels_shape}; expected {(frames_shape[0], 2)}")


def check_levels(mean_adu: NDArray[np.float32], levels_adu: NDArray[np.float32]) -> None:
    """Refuse numbers that no frame can be normalised by.

    Raises
    ------
    ChunkError
        If a level or a mean is not finite, or a scale is not positive.
    """
    if not np.isfinite(levels_adu).all() or (levels_adu[:, 1] <= 0).any():
        raise ChunkError("LEVELS must be finite with a positive scale; compute them from the film")
    if not np.isfinite(mean_adu).all():
        raise ChunkError("FILM_MEAN must be finite; compute it from the film")


def draw(detections: NDArray[np.float32], window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Draw the detections of a tile's core on the fine grid and sum the frames.

    A detection adds its probability, rounded to 2^-16, to the one fine pixel
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
        If the window does not lie in the tile, or a detection makes no sense.
    """
    zoom, top, left, height, width = check_window(window, *detections.shape[2:])
    core = detections[:, :, top : top + height, left : left + width]
    finite = np.isfinite(core[:, 1:3].sum(dtype=np.float64))  # a sum shows any one that is not
    if not (core[:, 0].min() >= 0 and core[:, 0].max() <= 1 and finite):
        raise ChunkError(NOT_DETECTIONS)
    shape = image_shape(zoom, height, width)
    image = np.zeros(shape, np.int32)
    for probability, offset_y_px, offset_x_px in core[:, :3]:  # frame by frame stays in the cache
        weights = np.rint(probability * np.float32(contract.WEIGHT_ONE)).astype(np.int32)
        index = _fine_index(offset_y_px, zoom, shape[0], axis=0)
        index *= shape[1]
        index += _fine_index(offset_x_px, zoom, shape[1], axis=1)
        np.add.at(image.ravel(), index.ravel(), weights.ravel())
    return image


def _fine_index(
    offset_px: NDArray[np.float32], zoom: int, size: int, *, axis: int
) -> NDArray[np.intp]:
    """Where each pixel of a core points to on the fine grid, margin included, along one axis."""
    pixel = np.arange(offset_px.shape[axis]) + contract.MARGIN_PX
    near = np.clip(offset_px, np.float32(-size), np.float32(size))  # beyond is outside anyway
    within = np.floor((near + np.float32(0.5)) * np.float32(zoom)).astype(np.intp)
    within += np.expand_dims(pixel * zoom, 1 - axis)
    clipped: NDArray[np.intp] = np.clip(within, 0, size - 1, out=within)
    return clipped


def sum_map(maps: NDArray[np.float32], window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum the maps of N frames over a tile's core.

    Each value is rounded to 2^-16 emitters, and a negative one counts as none, so
    the sum does not depend on the order of frames, as in `draw`. Nothing points
    out of a map's core: the margin stays empty.

    Parameters
    ----------
    maps : ndarray, shape (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
        Expected emitters per fine pixel.
    window : ndarray, shape (5,), int32
        zoom, core y, core x, core height, core width, in camera pixels.

    Returns
    -------
    ndarray, shape ((height + 2) * MAP_ZOOM, (width + 2) * MAP_ZOOM), int32
        Core and margin, in units of 2^-16 emitters.

    Raises
    ------
    ChunkError
        If another zoom is asked for, the window does not lie in the tile, or a
        value makes no sense.
    """
    core_px = check_map_window(window, *maps.shape[2:])
    fine = contract.MAP_ZOOM
    top, left, height, width = (fine * size_px for size_px in core_px)
    core = maps[:, 0, top : top + height, left : left + width]
    most = most_in_map(len(maps))
    image = np.zeros(image_shape(fine, *core_px[2:]), np.int32)
    margin = fine * contract.MARGIN_PX
    summed = image[margin:-margin, margin:-margin]
    for frame in core:  # frame by frame stays in the cache
        if not (np.isfinite(frame.min()) and float(frame.max()) < most):
            raise ChunkError(not_a_map(most))
        units = np.maximum(frame, 0)
        units *= contract.WEIGHT_ONE
        summed += np.rint(units, out=units).astype(np.int32)
    return image


def most_in_map(frame_count: int) -> float:
    """What a fine pixel of one frame stays below, so that N frames do not overflow the sum."""
    return (2**31 - 1) / (contract.WEIGHT_ONE * frame_count)


def not_a_map(most: float) -> str:
    """What a network hears whose ``MAP`` cannot be summed."""
    return (
        "the network answered with a number of emitters that is not a number, or above "
        f"{most:.0f} in one fine pixel"
    )


def check_map_window(
    window: NDArray[np.int32], map_height: int, map_width: int
) -> tuple[int, int, int, int]:
    """Core as plain integers, in camera pixels, for a map of so many fine pixels.

    Raises
    ------
    ChunkError
        If another zoom than the map's is asked for, or the core does not lie in the tile.
    """
    fine = contract.MAP_ZOOM
    zoom, *core_px = check_window(window, map_height // fine, map_width // fine)
    if zoom != fine:
        raise ChunkError(
            f"WINDOW asks for zoom {zoom}; expected {fine}, the zoom of the network's map: ask "
            f"for that, or ask {contract.RECONSTRUCTION.name!r}, which draws at any zoom"
        )
    top, left, height, width = core_px
    return top, left, height, width


def check_window(
    window: NDArray[np.int32], tile_height_px: int, tile_width_px: int
) -> tuple[int, int, int, int, int]:
    """Zoom and core as plain integers, for a tile of so many camera pixels.

    Raises
    ------
    ChunkError
        If the zoom is out of range or the core does not lie in the tile.
    """
    if window.shape != contract.WINDOW.dims:
        raise ChunkError(f"WINDOW has shape {window.shape}; expected {contract.WINDOW.dims}")
    zoom, top, left, height, width = (int(value) for value in window)
    ends = top + height <= tile_height_px and left + width <= tile_width_px
    inside = top >= 0 and left >= 0 and ends
    if not 1 <= zoom <= contract.MAX_ZOOM:
        raise ChunkError(f"WINDOW asks for zoom {zoom}; expected 1 to {contract.MAX_ZOOM}")
    if height < 1 or width < 1 or not inside:
        raise ChunkError(
            f"WINDOW {window.tolist()} (zoom, y, x, height, width) does not lie in a tile of "
            f"{tile_height_px} x {tile_width_px} pixels"
        )
    return zoom, top, left, height, width


def image_shape(zoom: int, height_px: int, width_px: int) -> tuple[int, int]:
    """Shape of a core and its margin on the fine grid."""
    margin = 2 * contract.MARGIN_PX
    return (height_px + margin) * zoom, (width_px + margin) * zoom


def cut(
    frames_adu: NDArray[Reading],
    *,
    top: int,
    left: int,
    height: int,
    width: int,
) -> NDArray[Reading]:
    """A region of the frames that may reach beyond their lower and right edges.

    What lies outside repeats the last row and column, so that the light of a
    molecule at the edge does not break off within the field.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16 or float32
        Whole frames, or a film's mean.
    top, left, height, width : int
        The region, in camera pixels.

    Returns
    -------
    ndarray, shape (N, height, width), of the same dtype
        A view where the region lies inside, else a copy.
    """
    part = frames_adu[:, top : top + height, left : left + width]
    missing = ((0, 0), (0, height - part.shape[1]), (0, width - part.shape[2]))
    if not any(after for _, after in missing):
        return part
    return np.pad(part, missing, mode="edge")
