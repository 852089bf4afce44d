"""The part of a film that is measured: frames spread over all of it, a window where it blinks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.errors import FilmError

FRAMES_MAX = 500
FRAMES_MIN = 16
WINDOW_PX_MAX = 256
SIZE_PX_MIN = 16

_LOOK_FRAMES = 16
"""Frames by which the window is chosen."""


@dataclass(frozen=True)
class Sample:
    """Frames of a film, shape (T, Y, X), uint16, ADU, and where the window's corner lies.

    ``film_shape`` is (T, Y, X) of the whole film.
    """

    frames_adu: NDArray[np.uint16]
    top_px: int
    left_px: int
    film_shape: tuple[int, int, int]


def sample_film(path: Path) -> Sample:
    """At most ``FRAMES_MAX`` frames, evenly spread, of a window where fluctuations are strongest.

    Nothing else of the film is held in memory: it is mapped, or decoded page by page.

    Raises
    ------
    FilmError
        If the file is no TIFF film of 8- or 16-bit unsigned frames, or a film too short
        or too small to be measured.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            return _sample(path, tif)
    except FilmError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FilmError(
            f"cannot read {path} ({error}); expected a TIFF film of 8- or 16-bit unsigned frames"
        ) from error


def _sample(path: Path, tif: tifffile.TiffFile) -> Sample:
    series = tif.series[0]
    shape = tuple(size for size in series.shape if size > 1)  # by its version, tifffile does so
    if len(shape) != 3 or series.dtype not in (np.uint8, np.uint16):
        raise FilmError(
            f"{path} has shape {shape} and dtype {series.dtype}; expected frames, rows and "
            "columns of 8- or 16-bit unsigned integers: save one channel as such a film"
        )
    count, height, width = shape
    if count < FRAMES_MIN or min(height, width) < SIZE_PX_MIN:
        raise FilmError(
            f"{path} has {count} frames of {height} x {width} pixels; expected at least "
            f"{FRAMES_MIN} of {SIZE_PX_MIN} x {SIZE_PX_MIN} to measure blinking: take a longer "
            "or larger film"
        )
    film = _Reader(tif, series, (count, height, width))
    looked_at = film.read(spread_evenly(count, _LOOK_FRAMES), slice(None), slice(None))
    rows, columns = _window(looked_at)
    frames_adu = film.read(spread_evenly(count, FRAMES_MAX), rows, columns)
    return Sample(frames_adu, rows.start, columns.start, (count, height, width))


class _Reader:
    """Parts of frames of an open film, in uint16."""

    def __init__(
        self, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, shape: tuple[int, int, int]
    ) -> None:
        self._tif, self._series, self._shape = tif, series, shape

    def read(self, indices: Iterable[int], rows: slice, columns: slice) -> NDArray[np.uint16]:
        return np.stack([self._frame(index)[rows, columns].astype(np.uint16) for index in indices])

    def _frame(self, index: int) -> NDArray[np.uint8 | np.uint16]:
        _, height, width = self._shape
        if self._series.dataoffset is None:
            return self._tif.asarray(key=index, series=self._series).reshape(height, width)
        stored = np.dtype(self._tif.byteorder + self._series.dtype.char)
        offset = self._series.dataoffset + index * height * width * stored.itemsize
        return self._tif.filehandle.memmap_array(stored, (height, width), offset)


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
    energy = uniform_filter(variance, size, mode="constant")
    inner = tuple(
        slice(part // 2, edge - (part - 1) // 2)
        for part, edge in zip(size, variance.shape, strict=True)
    )
    corner = np.unravel_index(np.argmax(energy[inner]), energy[inner].shape)
    rows, columns = (
        slice(int(first), int(first) + part) for first, part in zip(corner, size, strict=True)
    )
    return rows, columns
