"""Draw a table as an image: a histogram, or Gaussians as wide as the uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.rows import Rows

IMAGE_PIXELS_MAX = 1 << 28
"""Most pixels of an image: 1 GiB of float32."""

_REACH_SIGMAS = 4.0
"""Half the width of a drawn Gaussian; what lies beyond, 0.006 %, is given to what lies within."""

_REACH_MAX_PX = 64
"""Largest half width of a drawn Gaussian, in pixels of the image."""

_DRAWN_AT_ONCE = 1 << 21
"""Most pixels of Gaussians that are in memory at once."""


@dataclass(frozen=True)
class Grid:
    """The pixels of an image: their edge, and the region x, y, width and height, in nm.

    A place is in pixel ``floor((place - start) / edge)``, as in the images of ``submit``.
    """

    sr_pixel_nm: float
    region_nm: tuple[float, float, float, float]

    @classmethod
    def up_to(cls, sr_pixel_nm: float, extent_nm: tuple[float, float]) -> Grid:
        """From the corner of the first pixel to a place x, y, its own pixel among them."""
        width_nm, height_nm = (
            (math.floor(place_nm / sr_pixel_nm) + 1) * sr_pixel_nm for place_nm in extent_nm
        )
        return cls(sr_pixel_nm, (0, 0, width_nm, height_nm))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image, in pixels."""
        _, _, width, height = self.region_nm
        # a region of a whole number of pixels keeps it in spite of rounding
        rows, columns = (
            max(math.ceil(edge / self.sr_pixel_nm - 1e-6), 1) for edge in (height, width)
        )
        return rows, columns

    def check(self) -> None:
        """Refuse an image that no memory holds.

        Raises
        ------
        SettingError
            If it has more than `IMAGE_PIXELS_MAX` pixels.
        """
        rows, columns = self.shape
        if rows * columns > IMAGE_PIXELS_MAX:
            raise SettingError(
                f"the image would have {rows} x {columns} pixels; expected at most "
                f"{IMAGE_PIXELS_MAX}: choose a larger --sr-pixel-nm or a smaller --region-nm"
            )


class TableImage:
    """Adds molecules to an image, each with a sum of one where it is within the region.

    Parameters
    ----------
    grid : Grid
        The pixels.
    gaussian : bool
        Whether to draw a Gaussian of each molecule's uncertainty, instead of its pixel alone.

    Attributes
    ----------
    outside : int
        Molecules so far whose place is not in the image.
    """

    def __init__(self, grid: Grid, *, gaussian: bool) -> None:
        self._grid, self._gaussian = grid, gaussian
        self.pixels: NDArray[np.float32] = np.zeros(grid.shape, np.float32)
        self.outside = 0

    def add(self, rows: Rows) -> None:
        """Draw molecules."""
        left, top, _, _ = self._grid.region_nm
        edge_nm = self._grid.sr_pixel_nm
        place = np.stack([(rows["y_nm"] - top) / edge_nm, (rows["x_nm"] - left) / edge_nm])
        pixel = np.floor(place).astype(np.int64)
        self.outside += int(np.count_nonzero(~self._inside(pixel)))
        if self._gaussian:
            sigma = [rows[f"uncertainty_{axis}_nm"] / edge_nm for axis in "yx"]
            self._draw_gaussians(place, np.stack(sigma))
        else:
            self._count(pixel)

    def _count(self, pixel: NDArray[np.int64]) -> None:
        inside = self._inside(pixel)
        width = self.pixels.shape[1]
        np.add.at(self.pixels.ravel(), pixel[0, inside] * width + pixel[1, inside], 1)

    def _inside(self, pixel: NDArray[np.int64]) -> NDArray[np.bool_]:
        height, width = self.pixels.shape
        inside: NDArray[np.bool_] = ((pixel >= 0) & (pixel < [[height], [width]])).all(axis=0)
        return inside

    def _draw_gaussians(self, place: NDArray[np.float64], sigma: NDArray[np.float64]) -> None:
        """Draw in groups of one width; those without an uncertainty are one pixel."""
        known = np.isfinite(sigma).all(axis=0) & (sigma > 0).all(axis=0)
        self._count(np.floor(place[:, ~known]).astype(np.int64))
        place, sigma = place[:, known], sigma[:, known]
        reach = np.minimum(np.ceil(_REACH_SIGMAS * sigma.max(axis=0)), _REACH_MAX_PX)
        reach = 2 ** np.ceil(np.log2(np.maximum(reach, 1)))
        for half in np.unique(reach).astype(int).tolist():
            (chosen,) = np.nonzero(reach == half)
            count = max(_DRAWN_AT_ONCE // (2 * half + 1) ** 2, 1)
            for first in range(0, len(chosen), count):
                part = chosen[first : first + count]
                self._draw(place[:, part], sigma[:, part], half)

    def _draw(self, place: NDArray[np.float64], sigma: NDArray[np.float64], half: int) -> None:
        """Draw Gaussians, integrated over pixels, on squares of 2 half + 1 pixels."""
        home = np.floor(place).astype(np.int64)
        edges = np.arange(-half, half + 2)
        profiles = []
        for axis in (0, 1):
            away = (home[axis, :, None] + edges - place[axis, :, None]) / sigma[axis, :, None]
            profile = np.diff(_normal_cdf(away), axis=1)
            profiles.append(profile / profile.sum(axis=1, keepdims=True))
        height, width = self.pixels.shape
        row, column = (home[axis, :, None] + edges[:-1] for axis in (0, 1))
        # what is outside of the image is drawn nowhere, and does not move to its edge
        profiles[0][(row < 0) | (row >= height)] = 0
        profiles[1][(column < 0) | (column >= width)] = 0
        row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
        index = row[:, :, None] * width + column[:, None, :]
        values = profiles[0][:, :, None] * profiles[1][:, None, :]
        np.add.at(self.pixels.ravel(), index.ravel(), values.ravel().astype(np.float32))


def _normal_cdf(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal distribution's integral, to 1e-7 (Abramowitz and Stegun, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(z))
    powers = np.polyval([1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530, 0], t)
    tail = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * powers
    return np.where(z < 0, tail, 1 - tail)
