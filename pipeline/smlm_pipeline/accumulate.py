"""Partial sums -> the whole image, each chunk exactly once, in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract, kernels
from smlm_pipeline.chunking import Chunk
from smlm_pipeline.errors import InferenceError


class Accumulator:
    """Sums in integers, so neither the order of chunks nor their number shows.

    Parameters
    ----------
    height_px, width_px : int
        Field of view, in camera pixels.
    zoom : int
        Fine pixels along the edge of a camera pixel.
    """

    def __init__(self, height_px: int, width_px: int, *, zoom: int) -> None:
        self._zoom = zoom
        self._merged: set[int] = set()
        self._canvas = np.zeros(kernels.image_shape(zoom, height_px, width_px), np.int64)

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
        expected = kernels.image_shape(zoom, core_y.core_size, core_x.core_size)
        if image.shape != expected or frame_count != chunk.frame_count:
            raise InferenceError(
                f"chunk {chunk.index} came back as {image.shape} over {frame_count} frames; "
                f"expected {expected} over {chunk.frame_count}"
            )
        top, left = core_y.core_start * zoom, core_x.core_start * zoom
        self._canvas[top : top + expected[0], left : left + expected[1]] += image
        self._merged.add(chunk.index)
        return True

    @property
    def merged_count(self) -> int:
        """How many chunks have been merged."""
        return len(self._merged)

    def image(self) -> NDArray[np.float32]:
        """Expected number of emitters per fine pixel, shape (zoom Y, zoom X), float32.

        Detections that point out of the field of view are left out.
        """
        margin = contract.MARGIN_PX * self._zoom
        inside = self._canvas[margin:-margin, margin:-margin]
        return (inside / contract.WEIGHT_ONE).astype(np.float32)
