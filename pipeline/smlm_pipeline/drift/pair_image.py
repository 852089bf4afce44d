"""An image of all molecules, in which those near to a place are looked up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 10
"""Farthest pixel that is looked up, along an axis."""

EDGE_MOST = 4096
"""Longest edge of the image, in pixels; a larger field is folded."""

_LOOKED_UP_AT_ONCE = 1 << 22
"""Most pixels that are looked up at once."""


class PairImage:
    """Molecules per pixel, with an empty border of ``REACH`` pixels.

    Parameters
    ----------
    yx_nm : ndarray, shape (2, K)
        Places of one molecule or more.
    pixel_nm : float
        Edge of a pixel.
    """

    def __init__(self, yx_nm: NDArray[np.float64], pixel_nm: float) -> None:
        pixel = np.floor(yx_nm / pixel_nm).astype(np.int64)
        self._pixel_nm, self._first = pixel_nm, pixel.min(axis=1, keepdims=True)
        self._edge = min(int((pixel - self._first).max()) + 1, EDGE_MOST)
        self._width = self._edge + 2 * REACH
        self._count = np.zeros(self._width**2, np.float32)
        self.add(self.pixels(yx_nm), 1)

    def pixels(self, yx_nm: NDArray[np.float64]) -> NDArray[np.int64]:
        """The pixel (K,) of each place (2, K)."""
        row, column = (np.floor(yx_nm / self._pixel_nm).astype(np.int64) - self._first) % self._edge
        pixels: NDArray[np.int64] = (row + REACH) * self._width + column + REACH
        return pixels

    def add(self, pixels: NDArray[np.int64], times: int) -> None:
        """Add molecules, or remove them again by -1 times."""
        np.add.at(self._count, pixels, np.float32(times))

    def sums_around(self, pixels: NDArray[np.int64], reach: int = REACH) -> NDArray[np.float64]:
        """Molecules at each distance from the pixels (K,), summed over these, (L, L)."""
        around = self._around(reach)
        total = np.zeros(len(around))
        step = max(_LOOKED_UP_AT_ONCE // len(around), 1)
        for first in range(0, len(pixels), step):
            found = self._count[pixels[first : first + step, None] + around]
            total += found.sum(axis=0, dtype=np.float64)
        return total.reshape(2 * reach + 1, -1)

    def density(self, pixels: NDArray[np.int64], sigma_px: float) -> NDArray[np.float64]:
        """Molecules around each pixel (K,), weighted by a Gaussian."""
        reach = min(int(np.ceil(3 * sigma_px)), REACH)
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
        weight = np.outer(taps, taps).ravel()
        density: NDArray[np.float64] = self._count[pixels[:, None] + self._around(reach)] @ weight
        return density

    def _around(self, reach: int) -> NDArray[np.int64]:
        steps = np.arange(-reach, reach + 1)
        return (steps[:, None] * self._width + steps).ravel()
