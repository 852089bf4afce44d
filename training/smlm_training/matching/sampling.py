"""Sample a film for matching: frames spread over all of it, in a window where it blinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import Film

FRAMES_MAX = 500
FRAMES_MIN = 16
PAIRS_MAX = 200
"""Pairs of frames that follow one another, in films of which not all frames are measured."""

WINDOW_PX_MAX = 256
SIZE_PX_MIN = contract.MIN_FRAME_PX
"""Of both edges; `smlm_pipeline.film.film.open_film` refuses smaller films."""

_WINDOW_FRAMES = 16
"""Frames by which the window is chosen."""


@dataclass(frozen=True)
class Sample:
    """Frames of a film, shape (T, Y, X), uint16, ADU, and the first pixel of their window.

    ``pairs_adu`` are some of them and the frames that follow these in the film, (P, Y, X) each.
    ``top_px`` and ``left_px`` count in the film's file; ``film_shape`` is (T, Y, X) of the
    whole film.
    """

    frames_adu: NDArray[np.uint16]
    pairs_adu: tuple[NDArray[np.uint16], NDArray[np.uint16]]
    top_px: int
    left_px: int
    film_shape: tuple[int, int, int]


def sample_film(film: Film) -> Sample:
    """At most ``FRAMES_MAX`` frames, evenly spread, of a window where fluctuations are strongest.

    One frame is read at a time, so nothing of the film but the sample is held in memory.

    Parameters
    ----------
    film : Film
        The open film.

    Raises
    ------
    FilmError
        If the film is too short to be measured, or damaged.
    """
    count, height, width = film.frame_count, film.height_px, film.width_px
    if count < FRAMES_MIN:
        raise FilmError(
            f"{film.path} has {count} frames of {height} x {width} pixels; expected at least "
            f"{FRAMES_MIN} of {SIZE_PX_MIN} x {SIZE_PX_MIN} to measure blinking: take a longer "
            "film"
        )
    whole = slice(0, height), slice(0, width)
    rows, columns = _window(_read(film, spread_evenly(count, _WINDOW_FRAMES), *whole))
    indices = spread_evenly(count, FRAMES_MAX)
    frames_adu = _read(film, indices, rows, columns)
    if len(indices) == count:
        pairs_adu = frames_adu[:-1], frames_adu[1:]
    else:
        places = spread_evenly(len(indices) - 1, PAIRS_MAX)
        following = [indices[place] + 1 for place in places]
        pairs_adu = frames_adu[places], _read(film, following, rows, columns)
    corner = film.corner
    return Sample(
        frames_adu,
        pairs_adu,
        corner.y_px + rows.start,
        corner.x_px + columns.start,
        (count, height, width),
    )


def _read(film: Film, indices: Sequence[int], rows: slice, columns: slice) -> NDArray[np.uint16]:
    """A region of some frames; each frame is dropped before the next one is read."""
    size = rows.stop - rows.start, columns.stop - columns.start
    frames_adu = np.empty((len(indices), *size), np.uint16)
    for place, index in enumerate(indices):
        frames_adu[place] = film.read(index, index + 1)[0, rows, columns]
    return frames_adu


def _window(frames_adu: NDArray[np.uint16]) -> tuple[slice, slice]:
    """Rows and columns of the window of at most ``WINDOW_PX_MAX`` with the largest variance."""
    total = np.zeros(frames_adu.shape[1:])
    squares = np.zeros(frames_adu.shape[1:])
    for frame in frames_adu:  # one at a time: a wide field is large in float64
        values = frame.astype(np.float64)
        total += values
        squares += values * values
    variance = squares - total * total / len(frames_adu)
    size = [min(edge, WINDOW_PX_MAX) for edge in variance.shape]
    energy = scipy.ndimage.uniform_filter(variance, size, mode="constant")
    inner = tuple(
        slice(part // 2, edge - (part - 1) // 2)
        for part, edge in zip(size, variance.shape, strict=True)
    )
    corner = np.unravel_index(np.argmax(energy[inner]), energy[inner].shape)
    rows, columns = (
        slice(int(first), int(first) + part) for first, part in zip(corner, size, strict=True)
    )
    return rows, columns
