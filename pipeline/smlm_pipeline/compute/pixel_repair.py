"""Replace the pixels of frames that show no picture, so that a network sees nothing there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.pixel_faults import PixelFaults, grown

REACH_PX = 2
"""A single pixel, row or column is replaced by the mean of its neighbours within this reach."""

EDGE_PX = 3
"""The edge of the picture is repeated so far into a wide area, as at the edge of a tile: a step
within the light of a molecule would look like another molecule."""


@dataclass(frozen=True)
class PixelRepair:
    """What replaces which pixels of frames (Y, X).

    ``blank`` (Y, X) bool are the pixels of wide areas, where nothing is to be drawn. Of these,
    those at the places ``edge`` (R,) become what the pixels at ``nearest`` (R,) are, those at
    ``wide`` (P,) become dark. The others, ``narrow`` (Q,), become the mean of the pixels at
    ``neighbours`` (Q, 24), weighted by ``weights`` (Q, 24). ``fill_adu`` is the value of other
    pixels that become dark, or None.
    """

    blank: NDArray[np.bool_]
    wide: NDArray[np.intp]
    edge: NDArray[np.intp]
    nearest: NDArray[np.intp]
    narrow: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    weights: NDArray[np.float32]
    fill_adu: int | None

    @classmethod
    def of(cls, faults: PixelFaults) -> PixelRepair:
        """Decide what replaces the pixels of ``faults``."""
        away = faults.any_of
        padded = np.pad(away, 1, constant_values=True)
        blank = away & grown(~grown(~padded, 1), 1)[1:-1, 1:-1]
        narrow = np.argwhere(away & ~blank)
        nearest = _nearest(away)
        edge = np.flatnonzero(blank & (nearest >= 0))
        reach = range(-REACH_PX, REACH_PX + 1)
        steps = np.array([(y, x) for y in reach for x in reach if (y, x) != (0, 0)])
        around = narrow[:, None] + steps
        size = np.array(away.shape)
        inside = ((around >= 0) & (around < size)).all(axis=2)
        y, x = np.clip(around, 0, size - 1).transpose(2, 0, 1)
        weights = (inside & ~away[y, x]) / np.square(steps).sum(axis=1) ** 2.0
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return cls(
            blank=blank,
            wide=np.flatnonzero(blank & (nearest < 0)),
            edge=edge,
            nearest=nearest.ravel()[edge],
            narrow=narrow @ np.array([away.shape[1], 1]),
            neighbours=y * away.shape[1] + x,
            weights=weights.astype(np.float32),
            fill_adu=faults.fill_adu,
        )

    def apply(
        self, frames_adu: NDArray[np.uint16], dark_adu: NDArray[np.uint16]
    ) -> NDArray[np.uint16]:
        """Replace the pixels of frames.

        Parameters
        ----------
        frames_adu : ndarray, shape (N, Y, X), uint16
            Whole frames, in ADU.
        dark_adu : ndarray, shape (N,), uint16
            The value of a dark pixel in each frame, in ADU.

        Returns
        -------
        ndarray, shape (N, Y, X), uint16
            A copy with other values in those pixels; the same array if there are none.
        """
        if self.fill_adu is None and not (self.blank.any() or self.narrow.size):
            return frames_adu
        repaired = frames_adu.copy()
        if self.fill_adu is not None:
            filled = repaired == self.fill_adu
            np.copyto(repaired, dark_adu[:, None, None], where=filled)
        pixels = repaired.reshape(len(frames_adu), -1)
        pixels[:, self.wide] = dark_adu[:, None]
        if self.narrow.size:
            beside = np.einsum("nqk,qk->nq", pixels[:, self.neighbours], self.weights)
            pixels[:, self.narrow] = np.rint(beside)
        pixels[:, self.edge] = pixels[:, self.nearest]
        return repaired


def _nearest(away: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Place of the nearest pixel of the picture (Y, X), -1 where it is beyond ``EDGE_PX``."""
    nearest = np.where(away, -1, np.arange(away.size).reshape(away.shape))
    steps = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
    for _ in range(EDGE_PX):
        wide = np.pad(nearest, 1, constant_values=-1)
        height, width = away.shape
        for y, x in steps:
            beside = wide[1 + y : 1 + y + height, 1 + x : 1 + x + width]
            nearest = np.where(nearest < 0, beside, nearest)
    return nearest
