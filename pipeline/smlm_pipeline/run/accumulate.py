"""The sum of all chunks, and the image made of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.tiles import emitters, image_shape, without_margin
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run.canvas import Canvas
from smlm_pipeline.run.chunking import Chunk

_BAND_BYTES = 1 << 24
"""Most bytes of the sum that are in memory while it is written or read."""


class SrImage:
    """Expected number of emitters per SR pixel, read by rows out of a sum.

    Detections that point out of the field of view are left out. It can be read
    while the canvas of the sum is open.

    Parameters
    ----------
    canvas : Canvas
        The planes of a sum one below the other, each with its margin, in units of 2^-16
        emitters.
    planes : sequence of int
        Those that are summed.
    zoom : int
        SR pixels along the edge of a camera pixel.
    blank : ndarray, shape (Y, X), bool
        Camera pixels that show no picture: the image is 0 there.
    """

    def __init__(
        self, canvas: Canvas, planes: Sequence[int], zoom: int, blank: NDArray[np.bool_]
    ) -> None:
        self._canvas, self._planes, self._zoom = canvas, planes, zoom
        self._margin, self._blank = contract.MARGIN_PX * zoom, blank

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in SR pixels."""
        height_px, width_px = self._blank.shape
        return height_px * self._zoom, width_px * self._zoom

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        first, last, _ = rows.indices(self.shape[0])
        return emitters(self._sums(first, last), self._zoom).astype(np.float32)

    def whole(self) -> NDArray[np.float32]:
        """All rows at once: shape (zoom Y, zoom X), float32."""
        return self[:]

    def emitters(self) -> float:
        """The sum of the image: the number of emitters found, over all frames."""
        height, rows = self.shape[0], 256
        total = 0
        for first in range(0, height, rows):
            last = min(first + rows, height)
            total += int(without_margin(self._sums(first, last), self._zoom).sum())
        return total / contract.WEIGHT_ONE

    def _sums(self, first: int, last: int) -> NDArray[np.int64]:
        """Rows of the sum with their margins, 0 where there is no picture."""
        height = self.shape[0] + 2 * self._margin
        tops = (plane * height + first for plane in self._planes)
        parts = (self._canvas.rows(top, top + last - first + 2 * self._margin) for top in tops)
        sums: NDArray[np.int64] = functools.reduce(np.add, parts)
        blank = self._blank[first // self._zoom : -(-last // self._zoom)]
        if not blank.any():
            return sums
        shown = np.repeat(np.repeat(~blank, self._zoom, axis=0), self._zoom, axis=1)
        margin, skipped = self._margin, first % self._zoom
        shown = np.pad(shown[skipped : skipped + last - first], margin, mode="edge")
        return sums * shown


class Accumulator:
    """Sums chunks in integers, so neither their order nor their number changes the image.

    It is a `Sink`, whose state is the sum as an ``.npy`` file. Classes and halves are planes one
    below the other: the classes of the first half of the film, then those of the second.

    Parameters
    ----------
    height_px, width_px : int
        Field of view, in camera pixels.
    zoom : int
        SR pixels along the edge of a camera pixel.
    classes : int
        Most precision classes of an answer.
    half_of : callable, optional
        Half of the film, 0 or 1, that a chunk belongs to; by default the film has one part.
    canvas : Canvas, optional
        Holds the planes, each of shape `compute.tiles.image_shape`; by default in memory.
    """

    name = "sum.npy"

    def __init__(
        self,
        height_px: int,
        width_px: int,
        *,
        zoom: int,
        classes: int = 1,
        half_of: Callable[[Chunk], int] | None = None,
        canvas: Canvas | None = None,
    ) -> None:
        self._field_px, self._zoom, self._classes = (height_px, width_px), zoom, classes
        self._half_of = half_of
        self._halves = 1 if half_of is None else 2
        self._height, width = image_shape(zoom, height_px, width_px)
        self.canvas = canvas or Canvas((self._halves * classes * self._height, width))

    def check(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Refuse the sums of another region or of other frames.

        Raises
        ------
        InferenceError
            If a sum lies outside of the chunk's image, or the sums are of another number of
            frames than the chunk.
        """
        size = self._classes * chunk.tile.window(self._zoom).size
        if answer.sums.end > size or answer.frame_count != chunk.frame_count:
            raise InferenceError(
                f"chunk {chunk.index} came back with {answer.sums.end} SR pixels or more over "
                f"{answer.frame_count} frames; expected {size} over {chunk.frame_count}"
            )

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Add the sums of a chunk at their places."""
        top, left = (span.core_start * self._zoom for span in (chunk.tile.y, chunk.tile.x))
        window = chunk.tile.window(self._zoom)
        first_plane = self._classes * (self._half_of(chunk) if self._half_of else 0)
        for number, sums in enumerate(answer.sums.parts(window.size)):
            plane_top = (first_plane + number) * self._height
            self.canvas.add(plane_top + top, left, window.shape[2], sums)

    def draw(
        self,
        places_px: NDArray[np.float64],
        weight: NDArray[np.float32],
        half: NDArray[np.int64],
        number: NDArray[np.int64],
    ) -> None:
        """Add molecules one by one, each with its weight; those out of the field are left out.

        Parameters
        ----------
        places_px : ndarray, shape (2, K), float64
            y and x from the corner of the field, in camera pixels.
        weight : ndarray, shape (K,), float32
            In emitters; rounded to 2^-16.
        half, number : ndarray, shape (K,), int64
            The half of the film and the precision class of each.
        """
        width = self.canvas.shape[1]
        row, column = np.floor((places_px + contract.MARGIN_PX) * self._zoom).astype(np.int64)
        inside = (row >= 0) & (row < self._height) & (column >= 0) & (column < width)
        plane = half * self._classes + number
        index = ((plane * self._height + row) * width + column)[inside]
        units = np.rint(weight[inside] * np.float32(contract.WEIGHT_ONE)).astype(np.int64)
        order = np.argsort(index, kind="stable")
        self.canvas.add(0, 0, width, SparseSums(index[order], units[order]))

    def another(self) -> Accumulator:
        """An empty accumulator of the same form, whose canvas is beside this one's.

        Raises
        ------
        OutputError
            If its folder has no room.
        """
        return Accumulator(
            *self._field_px,
            zoom=self._zoom,
            classes=self._classes,
            half_of=self._half_of,
            canvas=self.canvas.beside(self.canvas.shape, np.int64),
        )

    def write_to(self, file: IO[bytes]) -> None:
        """Write the sum as ``.npy``, a band of rows at a time."""
        header = {"descr": "<i8", "fortran_order": False, "shape": self.canvas.shape}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for first, last in _bands(self.canvas.shape):
            file.write(np.ascontiguousarray(self.canvas.rows(first, last), "<i8").data)

    def read_from(self, file: IO[bytes]) -> None:
        """Replace the sum.

        Raises
        ------
        ValueError
            If the file is cut short, or its array has another shape or type.
        """
        for first, band in self._read_bands(file):
            self.canvas.put(first, band)

    def write_part_to(self, file: IO[bytes]) -> None:
        """Write the sum as ``.npy``."""
        self.write_to(file)

    def add_from(self, file: IO[bytes]) -> None:
        """Add the sum of another part of the film.

        Raises
        ------
        ValueError
            If the file is cut short, or its array has another shape or type.
        """
        for first, band in self._read_bands(file):
            self.canvas.put(first, self.canvas.rows(first, first + len(band)) + band)

    def _read_bands(self, file: IO[bytes]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """First row and values of each band of a sum that `write_to` wrote."""
        _check_header(file, self.canvas.shape)
        width = self.canvas.shape[1]
        for first, last in _bands(self.canvas.shape):
            band = np.frombuffer(file.read(8 * width * (last - first)), "<i8")
            yield first, band.reshape(last - first, width)

    def image(self, blank: NDArray[np.bool_] | None = None) -> SrImage:
        """The image of what has been added; 0 in the camera pixels (Y, X) that are blank."""
        return self._image(range(self._halves * self._classes), blank)

    def class_images(self, blank: NDArray[np.bool_] | None = None) -> list[list[SrImage]]:
        """The images of each half of the film, and of each precision class in it; see `image`."""
        return [
            [self._image([half * self._classes + number], blank) for number in range(self._classes)]
            for half in range(self._halves)
        ]

    def half_images(self, blank: NDArray[np.bool_] | None = None) -> tuple[SrImage, SrImage]:
        """The images of both halves of the film, of all precision classes; see `image`."""
        first, second = (
            self._image(range(half * self._classes, (half + 1) * self._classes), blank)
            for half in (0, 1)
        )
        return first, second

    def both_halves(self, blank: NDArray[np.bool_] | None = None) -> list[SrImage]:
        """The image of each precision class, over the whole film; see `image`."""
        planes = range(self._halves * self._classes)
        return [
            self._image(planes[first :: self._classes], blank) for first in range(self._classes)
        ]

    def _image(self, planes: Sequence[int], blank: NDArray[np.bool_] | None) -> SrImage:
        shown = np.zeros(self._field_px, bool) if blank is None else blank
        return SrImage(self.canvas, planes, self._zoom, shown)


def _bands(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First and last row (excluded) of the parts that are in memory at once."""
    height, width = shape
    rows = max(_BAND_BYTES // (8 * width), 1)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _check_header(file: IO[bytes], shape: tuple[int, int]) -> None:
    """Refuse a sum of another shape or type."""
    if np.lib.format.read_magic(file) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError("of another form")
    stated = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
    if stated != (shape, False, np.dtype("<i8")):
        raise ValueError("of another shape or type")
