"""Reads an image by bands of rows, and halves it to a pyramid, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BAND_BYTES = 1 << 24
"""Most bytes of the float32 image in memory at once, or a row of tiles."""

LARGE_EDGE_PX = 2048
"""An image with a longer edge has a pyramid, whose last level has no longer one."""

TILE_PX = 512
"""Edge of a tile of a large image."""


class Rows(Protocol):
    """An image that is read by bands of rows: an array, or the view of a sum."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in SR pixels."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        ...


def bands(image: Rows, multiple: int = 1) -> Iterator[NDArray[np.float32]]:
    """Bands of rows from top to bottom, each of a multiple of ``multiple`` rows but the last."""
    height, width = image.shape
    rows = max(BAND_BYTES // (4 * width) // multiple, 1) * multiple
    for first in range(0, height, rows):
        yield image[first : min(first + rows, height)]


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Height and width of each level: the image, and halves until none of the edges is large."""
    height, width = shape[:2]
    shapes = [(height, width)]
    while max(shapes[-1]) > LARGE_EDGE_PX:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


class Pyramid(AbstractContextManager["Pyramid"]):
    """The levels of an image, each the mean of 2 x 2 pixels of the one before.

    A level is computed while the one before is read, and kept in a nameless file beside the
    target: the image is read once, and the memory is that of a band.

    Parameters
    ----------
    image : Rows, shape (Y, X), float32
        The first level.
    folder : Path
        Where the files are; they are gone when the ``with`` block is left.
    """

    def __init__(self, image: Rows, folder: Path) -> None:
        self._image, self._folder, self._files = image, folder, ExitStack()
        self.shapes = level_shapes(image.shape)

    def __exit__(self, *_: object) -> None:
        """Remove the files."""
        self._files.close()

    @property
    def count(self) -> int:
        """Number of levels."""
        return len(self.shapes)

    def levels(self) -> Iterator[Level]:
        """The levels in their order; read all bands of each before the next."""
        rows: Rows = self._image
        for shape in self.shapes[1:]:
            following = self._files.enter_context(_RowsInFile(shape, self._folder))
            yield Level(rows, following)
            rows = following
        yield Level(rows, None)


class _RowsInFile(AbstractContextManager["_RowsInFile"]):
    """An image in a nameless file, which is appended to, and then read by rows.

    Not a mapping: a disk that is full would end the process instead of raising an error.
    """

    def __init__(self, shape: tuple[int, int], folder: Path) -> None:
        self.shape: tuple[int, ...] = shape
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed on exit

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.float32]) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        first, last, _ = rows.indices(self.shape[0])
        self._file.seek(4 * first * self.shape[1])
        count = (last - first) * self.shape[1]
        values = np.frombuffer(self._file.read(4 * count), np.float32)
        return values.reshape(last - first, self.shape[1])


class Level:
    """One level of a pyramid; reading it computes the next one."""

    def __init__(self, rows: Rows, following: _RowsInFile | None) -> None:
        self._rows, self._following = rows, following

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in pixels of the level."""
        return self._rows.shape

    def bands(self) -> Iterator[NDArray[np.float32]]:
        """Bands of whole rows of tiles, from top to bottom; the last one may be lower."""
        for band in bands(self._rows, TILE_PX):
            if self._following is not None:  # before: the reader of the last band takes no more
                self._following.append(_halved(band))
            yield band


def _halved(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 pixels; those at the far edges may be of fewer."""
    height, width = band.shape
    even = np.pad(band, ((0, height % 2), (0, width % 2)), "edge")
    above = even[0::2] + even[1::2]
    means: NDArray[np.float32] = (above[:, 0::2] + above[:, 1::2]) * np.float32(0.25)
    return means
