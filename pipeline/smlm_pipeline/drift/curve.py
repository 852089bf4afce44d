"""The drift of a sample over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Drift:
    """Drift at some frames, with lines between them and beyond, to the ends of the film.

    ``frame`` (K,) float64, ascending; ``yx_nm`` (2, K) float64, how far the sample has moved down
    and to the right. Places less the drift of their frame are those of a sample at rest.
    """

    frame: NDArray[np.float64]
    yx_nm: NDArray[np.float64]

    def at(self, frame: NDArray[np.int64]) -> NDArray[np.float64]:
        """The drift of frames (F,), shape (2, F), in nm."""
        return np.stack([_through(self.frame, axis, frame) for axis in self.yx_nm])

    def since(self, frame: int) -> Drift:
        """The same drift, but none in that frame."""
        return Drift(self.frame, self.yx_nm - self.at(np.array([frame])))


def no_drift(frame: int = 0) -> Drift:
    """A sample at rest."""
    return Drift(np.array([float(frame)]), np.zeros((2, 1)))


def _through(
    knot: NDArray[np.float64], value: NDArray[np.float64], frame: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Lines from knot to knot, and beyond the last ones."""
    if len(knot) == 1:
        return np.full(len(frame), value[0])
    line = np.clip(np.searchsorted(knot, frame) - 1, 0, len(knot) - 2)
    share = (frame - knot[line]) / (knot[line + 1] - knot[line])
    through: NDArray[np.float64] = value[line] + share * (value[line + 1] - value[line])
    return through
