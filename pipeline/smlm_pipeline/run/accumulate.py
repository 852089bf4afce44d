"""Partial sums -> the whole image, each chunk exactly once, in any order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import emitters
from smlm_pipeline.compute.tiles import image_shape, without_margin
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run.canvas import Canvas
from smlm_pipeline.run.chunking import Chunk


class FineImage:
    """Expected number of emitters per fine pixel, read by rows out of a sum.

    Detections that point out of the field of view are left out. It can be read
    while the canvas of the sum is open.

    Parameters
    ----------
    canvas : Canvas
        The sum, margin included, in units of 2^-16 emitters.
    zoom : int
        Fine pixels along the edge of a camera pixel.
    """

    def __init__(self, canvas: Canvas, zoom: int) -> None:
        self._canvas, self._zoom, self._margin = canvas, zoom, contract.MARGIN_PX * zoom

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in fine pixels."""
        height, width = self._canvas.shape
        return height - 2 * self._margin, width - 2 * self._margin

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        first, last, _ = rows.indices(self.shape[0])
        sums = self._canvas.rows(first, last + 2 * self._margin)
        return emitters(sums, self._zoom).astype(np.float32)

    def whole(self) -> NDArray[np.float32]:
        """All of it at once, for who has the memory: shape (zoom Y, zoom X)."""
        return self[:]

    def emitters(self) -> float:
        """Its sum: how many emitters were seen, over all frames."""
        height, rows = self.shape[0], 256
        total = 0
        for first in range(0, height, rows):
            last = min(first + rows, height)
            sums = self._canvas.rows(first, last + 2 * self._margin)
            total += int(without_margin(sums, self._zoom).sum())
        return total / contract.WEIGHT_ONE


class Accumulator:
    """Sums in integers, so neither the order of chunks nor their number shows.

    ``whole`` tells whether the sum is that of the chunks that were merged: an interruption
    may have come while one was added.

    Parameters
    ----------
    height_px, width_px : int
        Field of view, in camera pixels.
    zoom : int
        Fine pixels along the edge of a camera pixel.
    canvas : Canvas, optional
        Where the sum is kept, of `kernels.image_shape`; by default in memory.
    """

    def __init__(
        self, height_px: int, width_px: int, *, zoom: int, canvas: Canvas | None = None
    ) -> None:
        self._zoom = zoom
        self._merged: set[int] = set()
        self.whole = True
        self.canvas = canvas or Canvas(image_shape(zoom, height_px, width_px))

    def add(self, chunk: Chunk, image: NDArray[np.int32], frame_count: int) -> bool:
        """Merge the sum of a chunk; false if that chunk was merged before.

        Raises
        ------
        InferenceError
            If the sum has another shape, or covers another number of frames, than
            was asked for.
        """
        if chunk.index in self._merged:
            return False
        zoom, core_y, core_x = self._zoom, chunk.tile.y, chunk.tile.x
        expected = image_shape(zoom, core_y.core_size, core_x.core_size)
        if image.shape != expected or frame_count != chunk.frame_count:
            raise InferenceError(
                f"chunk {chunk.index} came back as {image.shape} over {frame_count} frames; "
                f"expected {expected} over {chunk.frame_count}"
            )
        top, left = core_y.core_start * zoom, core_x.core_start * zoom
        self.whole = False
        self.canvas.add(top, left, image)
        self._merged.add(chunk.index)
        self.whole = True
        return True

    @property
    def merged(self) -> frozenset[int]:
        """Indices of the chunks that have been merged."""
        return frozenset(self._merged)

    def restore(self, merged: Iterable[int]) -> None:
        """Take the canvas for the sum of these chunks: it holds what an earlier run kept."""
        self._merged = set(merged)

    def left(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Those that have not been merged."""
        return [chunk for chunk in chunks if chunk.index not in self._merged]

    def image(self) -> FineImage:
        """The image of what has been merged."""
        return FineImage(self.canvas, self._zoom)
