"""Notice drift that a run leaves in its image: by the sums of the first and the second half."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.registration.correlation import shift_between
from smlm_pipeline.registration.parts import Image
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.settings import DRIFT_AUTO

LEAST_NM, LEAST_ERRORS = 15.0, 5.0
"""Shift between the halves of a film from which a note states it, and the least number of its
standard errors."""

REACH_NM = 600.0
"""Largest shift that is looked for."""

FRAMES_LEAST, MOLECULES_LEAST = 200, 500.0
"""Fewest frames of a film, and fewest molecules of a half of it, that are compared."""

EDGE_MOST_PX = 1024
"""Longest edge of the part of the image that is compared, in SR pixels: drift is everywhere."""

_BAND_ROWS = 64


class DriftHint:
    """Compares the halves in time of a run's sum.

    A request is of the half in which the middle of its frames is, whenever it is answered, so the
    same requests give the same note. An interrupted run that continues is not compared, since it
    is not known what was summed before.

    Parameters
    ----------
    plan : RunPlan
        That of the run.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan, self._frames = plan, 0.0
        shape = plan.height_px * plan.zoom, plan.width_px * plan.zoom
        self._middle = _Middle(shape)
        self._first = np.zeros(self._middle.shape, np.int64)
        self.elapsed_s = 0.0

    def follow(self, chunk: Chunk, sums: SparseSums, frames: float) -> None:
        """Add a chunk to the sum of the first half, if it is of that.

        Parameters
        ----------
        chunk : Chunk
            One that was added to the sum of the run.
        sums : SparseSums
            Its sums, of all precision classes.
        frames : float
            Its frames; a tile counts as its share of them.
        """
        started = time.perf_counter()
        self._frames += frames
        if chunk.first_frame + chunk.last_frame < self._plan.frame_count:
            zoom = self._plan.zoom
            window = chunk.tile.window(zoom)
            corner = (
                (chunk.tile.y.core_start - contract.MARGIN_PX) * zoom,
                (chunk.tile.x.core_start - contract.MARGIN_PX) * zoom,
            )
            for part in sums.parts(window.size):
                self._middle.add(self._first, part, corner, window.shape[2])
        self.elapsed_s += time.perf_counter() - started

    def notes(self, image: Image, sr_pixel_nm: float, *, estimated: bool = False) -> list[str]:
        """A note on drift, if the halves are apart by more than chance.

        Parameters
        ----------
        image : Image
            The sum of the whole film.
        sr_pixel_nm : float
            Edge of an SR pixel.
        estimated : bool
            Whether an estimate from the molecules was tried, and took out nothing.
        """
        whole = round(self._frames) == self._plan.frame_count
        if not whole or self._plan.frame_count < FRAMES_LEAST:
            return []
        started = time.perf_counter()
        first = (self._first / contract.WEIGHT_ONE).astype(np.float32)
        found = self._apart_nm((first, self._middle.of(image) - first), sr_pixel_nm)
        self.elapsed_s += time.perf_counter() - started
        return [] if found is None else [_note(found, estimated=estimated)]

    def _apart_nm(self, halves: tuple[Image, Image], sr_pixel_nm: float) -> float | None:
        """The distance between the halves, or None where it is not sure."""
        if min(float(half[:].sum()) for half in halves) < MOLECULES_LEAST:
            return None
        found = shift_between(*halves, sr_pixel_nm, REACH_NM, least_nm=LEAST_NM)
        apart_nm = math.hypot(*found.yx_nm)
        return apart_nm if found.known and apart_nm > LEAST_ERRORS * found.error_nm else None


def _note(apart_nm: float, *, estimated: bool) -> str:
    instead = f"--drift {DRIFT_AUTO} estimates the drift and takes it out"
    if estimated:
        instead = "--drift FILE takes out the drift of a bead, for instance"
    return (
        f"the sample moved: the halves of the film show it {apart_nm:.0f} nm apart, and drift from "
        f"its first to its last frame is up to twice as much, which blurs the image; "
        f"{instead}"
    )


class _Middle:
    """The middle of an image of this shape (height, width)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = min(shape[0], EDGE_MOST_PX), min(shape[1], EDGE_MOST_PX)
        self._top, self._left = (
            (edge - own) // 2 for edge, own in zip(shape, self.shape, strict=True)
        )

    def of(self, image: Image) -> NDArray[np.float32]:
        """A copy out of an image; a band of rows at a time, since rows may be long."""
        height, width = self.shape
        middle = np.empty(self.shape, np.float32)
        for first in range(0, height, _BAND_ROWS):
            last = min(first + _BAND_ROWS, height)
            rows = image[self._top + first : self._top + last]
            middle[first:last] = rows[:, self._left : self._left + width]
        return middle

    def add(
        self,
        total: NDArray[np.int64],
        sums: SparseSums,
        corner: tuple[int, int],
        width: int,
    ) -> None:
        """Add sums, whose image is so wide and begins at this row and column, to the middle's."""
        height, own_width = self.shape
        top, left = self._top - corner[0], self._left - corner[1]
        rows = slice(*np.searchsorted(sums.index, (top * width, (top + height) * width)))
        index = sums.index[rows]
        row = index // width  # numpy.divmod takes several times as long
        column = index - row * width
        inside = (column >= left) & (column < left + own_width)
        place = (row[inside] - top) * own_width + (column[inside] - left)
        np.add.at(total.reshape(-1), place, sums.weight[rows][inside])
