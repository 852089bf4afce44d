"""Molecules in groups: rings such as nuclear pores, and spots such as clusters of receptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.simulation.structures import Positions


@dataclass(frozen=True)
class Rings:
    """Circles with molecules at evenly spaced sites, like nuclear pores seen along their axis.

    ``centres_px`` (K, 2) holds y and x, ``turns`` (K,) each ring's rotation in radians.
    ``sites`` is the number of places along the circle, 0 for molecules anywhere on it;
    ``thickness_px`` the standard deviation of a molecule's distance from its place.
    """

    centres_px: NDArray[np.float64]
    turns: NDArray[np.float64]
    radius_px: float
    sites: int
    thickness_px: float
    molecules_per_ring: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return self.molecules_per_ring * len(self.centres_px)

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        ring = rng.integers(len(self.centres_px), size=count)
        share = (
            rng.integers(self.sites, size=count) / self.sites if self.sites else rng.random(count)
        )
        angle = self.turns[ring] + 2 * np.pi * share
        circle = self.radius_px * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        off_px = rng.normal(0, self.thickness_px, (count, 2))
        y_px, x_px = (self.centres_px[ring] + circle + off_px).T
        return y_px, x_px


@dataclass(frozen=True)
class Spots:
    """Round clumps with a Gaussian profile; ``centres_px`` (K, 2) holds y and x."""

    centres_px: NDArray[np.float64]
    sigma_px: float
    molecules_per_spot: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return self.molecules_per_spot * len(self.centres_px)

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        spot = rng.integers(len(self.centres_px), size=count)
        y_px, x_px = (self.centres_px[spot] + rng.normal(0, self.sigma_px, (count, 2))).T
        return y_px, x_px


def scattered_centres(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    border_px: float,
    centres_per_px2: float,
    distance_px: float,
) -> NDArray[np.float64]:
    """Centres (K, 2), y and x, that keep a distance from one another; at least one.

    Candidates are uniform; of two that are closer than ``distance_px`` the one drawn
    first stays (Matern's second hard-core process, doi 10.1007/978-1-4615-7892-5). Of
    m candidates per area it leaves (1 - exp(-m a)) / a with a = pi distance^2, which is
    solved for m; a density that it cannot reach gives the densest that it can.
    """
    disc_px2 = np.pi * distance_px**2
    filled = min(centres_per_px2 * disc_px2, 0.95)
    candidates_per_px2 = -np.log1p(-filled) / disc_px2 if disc_px2 else centres_per_px2
    size = np.array([height_px, width_px]) + 2 * border_px
    count = max(int(rng.poisson(candidates_per_px2 * size.prod())), 1)
    candidates = rng.random((count, 2)) * size - border_px
    pairs = scipy.spatial.cKDTree(candidates).query_pairs(distance_px, output_type="ndarray")
    stays = np.ones(count, bool)
    stays[pairs.max(axis=1)] = False
    centres: NDArray[np.float64] = candidates[stays]
    return centres
