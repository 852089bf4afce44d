"""Notice drift in a run that does not correct it: by the sums of the first and the second half."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.registration.correlation import shift_between
from smlm_pipeline.registration.parts import Image
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

    Chunks come in the order of time, but for some that are in flight together: when half of the
    frames are summed, the sum is that of the first half. An interrupted run that continues is not
    compared, since it is not known what was summed before.

    Parameters
    ----------
    plan : RunPlan
        That of the run.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan, self._frames = plan, 0.0
        self._first: NDArray[np.float32] | None = None
        self.elapsed_s = 0.0

    def follow(self, image: Image, frames: float) -> None:
        """Keep the sum of the first half, when the frames that were added complete it.

        Parameters
        ----------
        image : Image
            The sum so far.
        frames : float
            Those that were added last; a tile counts as its share of its frames.
        """
        self._frames += frames
        if self._first is not None or 2 * self._frames < self._plan.frame_count:
            return
        started = time.perf_counter()
        self._first = _middle(image)
        self.elapsed_s += time.perf_counter() - started

    def notes(self, image: Image, sr_pixel_nm: float) -> list[str]:
        """A note on drift, if the halves are apart by more than chance.

        Parameters
        ----------
        image : Image
            The sum of the whole film.
        sr_pixel_nm : float
            Edge of an SR pixel.
        """
        whole = round(self._frames) == self._plan.frame_count
        if self._first is None or not whole or self._plan.frame_count < FRAMES_LEAST:
            return []
        started = time.perf_counter()
        halves = self._first, _middle(image) - self._first
        found = self._apart_nm(halves, sr_pixel_nm)
        self.elapsed_s += time.perf_counter() - started
        return [] if found is None else [_note(found)]

    def _apart_nm(self, halves: tuple[Image, Image], sr_pixel_nm: float) -> float | None:
        """The distance between the halves, or None where it is not sure."""
        if min(float(half[:].sum()) for half in halves) < MOLECULES_LEAST:
            return None
        found = shift_between(*halves, sr_pixel_nm, REACH_NM, least_nm=LEAST_NM)
        apart_nm = math.hypot(*found.yx_nm)
        return apart_nm if found.known and apart_nm > LEAST_ERRORS * found.error_nm else None


def _note(apart_nm: float) -> str:
    return (
        f"the sample moved: the halves of the film show it {apart_nm:.0f} nm apart, and drift from "
        f"its first to its last frame is up to twice as much, which blurs the image; --drift "
        f"{DRIFT_AUTO} estimates the drift and takes it out"
    )


def _middle(image: Image) -> NDArray[np.float32]:
    """The middle of an image, as a copy; a band of rows at a time, since rows may be long."""
    height, width = (min(edge, EDGE_MOST_PX) for edge in image.shape)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    middle = np.empty((height, width), np.float32)
    for first in range(0, height, _BAND_ROWS):
        rows = image[top + first : top + min(first + _BAND_ROWS, height)]
        middle[first : first + len(rows)] = rows[:, left : left + width]
    return middle
