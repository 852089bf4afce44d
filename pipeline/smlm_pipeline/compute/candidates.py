"""The pixels of a network's detections that may hold a molecule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROBABILITY_MIN = 0.01
"""Pixels below it are left out; together they hold about 1 % of all molecules."""


@dataclass(frozen=True)
class Candidates:
    """Some pixels of ``DETECTIONS``, row by row and frame by frame.

    ``frame``, ``row`` and ``column`` (K,) int64; ``channels`` (7, K) float32 as in
    ``contract.DETECTION_CHANNELS``.
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    channels: NDArray[np.float32]

    def parts(self, most: int) -> Iterator[Candidates]:
        """Whole frames with at most so many pixels, or a single one; one part if there is none."""
        start, count = 0, len(self.frame)
        while True:
            end = min(start + most, count)
            if end < count:
                first_of_frame = int(np.searchsorted(self.frame, self.frame[end]))
                following = int(np.searchsorted(self.frame, self.frame[end], "right"))
                end = first_of_frame if first_of_frame > start else following
            some = slice(start, end)
            place = self.frame[some], self.row[some], self.column[some]
            yield Candidates(*place, self.channels[:, some])
            start = end
            if start == count:
                return


def candidates(detections: NDArray[np.float32]) -> Candidates:
    """Find the pixels from ``PROBABILITY_MIN`` on, and those that hold no number.

    Parameters
    ----------
    detections : ndarray, shape (N, 7, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    """
    frame, row, column = np.nonzero(~(detections[:, 0] < PROBABILITY_MIN))
    return Candidates(frame, row, column, np.moveaxis(detections, 1, 0)[:, frame, row, column])
