"""How spots differ from round Gaussians: astigmatism, depth out of focus, and a halo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.simulation.bounds import check_within


@cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and weights of a mean over depths from -1 to 1; widths are smooth functions of it."""
    places, weights = scipy.special.roots_legendre(7)
    return places, weights / 2


@dataclass(frozen=True)
class SpotShape:
    """Sums of Gaussians with axes along y and x, so that they separate into two profiles.

    A molecule at the depth z, in depths of focus, has the widths
    ``sigma sqrt(ratio) sqrt(1 + (z - astigmatism)^2)`` along y and
    ``sigma / sqrt(ratio) sqrt(1 + (z + astigmatism)^2)`` along x (a weak cylindrical lens:
    Huang et al., doi 10.1126/science.1153529). Depths are even between -depth and depth.
    A share of the light is in a halo, wider than the core by ``halo_width``, like the rings of an
    Airy pattern: a halo of 0.15 that is 6.6 times as wide gives its encircled energy within 0.03.
    """

    ratio: float = 1.0
    astigmatism: float = 0.0
    depth: float = 0.0
    halo_share: float = 0.0
    halo_width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse impossible shapes.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_within("ratio of a spot's widths", self.ratio, 0.2, 5.0)
        check_within("astigmatism in depths of focus", self.astigmatism, -3.0, 3.0)
        check_within("depth in depths of focus", self.depth, 0.0, 3.0)
        check_within("share of the halo", self.halo_share, 0.0, 0.9)
        check_within("width of the halo", self.halo_width, 1.0, 10.0)

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """Share of the light, and width relative to the core, of each Gaussian."""
        if not self.halo_share:
            return ((1.0, 1.0),)
        return (1 - self.halo_share, 1.0), (self.halo_share, self.halo_width)

    def draw_widths(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Widths along y and x of molecules at random depths, relative to sigma, of a shape."""
        if not self.depth:
            y, x = self._widths(np.zeros(1))
            return np.broadcast_to(y, shape), np.broadcast_to(x, shape)
        return self._widths(rng.uniform(-self.depth, self.depth, shape))

    def depths(self) -> list[tuple[float, float, float]]:
        """Weight, and widths along y and x relative to sigma, of depths that stand for all."""
        nodes, weights = _nodes() if self.depth else (np.zeros(1), np.ones(1))
        widths_y, widths_x = self._widths(self.depth * nodes)
        return list(zip(weights.tolist(), widths_y.tolist(), widths_x.tolist(), strict=True))

    def _widths(
        self, depth: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        y = np.sqrt(self.ratio * (1 + (depth - self.astigmatism) ** 2))
        x = np.sqrt((1 + (depth + self.astigmatism) ** 2) / self.ratio)
        return y, x


ROUND = SpotShape()
"""A round Gaussian."""
