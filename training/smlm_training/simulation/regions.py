"""Areas full of molecules: patches of one density beside empty ground, and gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.structures import Positions

_CELL_PX = 0.25
"""Edge of the cells in which the density is constant."""

_PLANE_WAVES = 12
"""Plane waves of a random landscape."""


@dataclass(frozen=True)
class Region:
    """Molecules on a grid of cells; ``molecules`` (R, C) is the mean number in each, a frame.

    The first cell begins ``border_px`` above and left of the field.
    """

    molecules: NDArray[np.float64]
    border_px: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return float(self.molecules.sum())

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        cumulated = np.cumsum(self.molecules)
        chosen = np.searchsorted(cumulated, rng.uniform(0, cumulated[-1], count))
        chosen = np.minimum(chosen, len(cumulated) - 1)
        cells = np.stack(np.divmod(chosen, self.molecules.shape[1]))
        y_px, x_px = _CELL_PX * (cells + rng.random((2, count))) - self.border_px
        return y_px, x_px


def patches(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    size_px: float,
    covered_share: float,
    ground: float,
    density_per_px2: float,
    border_px: float,
) -> Region:
    """Patches of any form with sharp edges, of one density.

    Parameters
    ----------
    size_px : float
        Distance from the middle of a patch to that of the next, roughly.
    covered_share : float
        Share of the area that patches cover.
    ground : float
        Density between the patches, relative to theirs.
    """
    height = _landscape(rng, height_px, width_px, size_px, border_px)
    covered = height >= np.quantile(height, 1 - covered_share)
    return Region(density_per_px2 * _CELL_PX**2 * np.where(covered, 1.0, ground), border_px)


def gradients(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    size_px: float,
    contrast: float,
    density_per_px2: float,
    border_px: float,
) -> Region:
    """A density that changes smoothly, from the given one down to exp(-contrast) of it."""
    height = _landscape(rng, height_px, width_px, size_px, border_px)
    height = (height - height.max()) / np.ptp(height)
    return Region(density_per_px2 * _CELL_PX**2 * np.exp(contrast * height), border_px)


def _landscape(
    rng: np.random.Generator, height_px: int, width_px: int, size_px: float, border_px: float
) -> NDArray[np.float64]:
    """A sum of plane waves about ``size_px`` long, in all directions, for each cell."""
    direction = rng.uniform(0, 2 * np.pi, _PLANE_WAVES)
    number = 2 * np.pi / (size_px * rng.uniform(0.7, 1.5, _PLANE_WAVES))
    phase = rng.uniform(0, 2 * np.pi, _PLANE_WAVES)
    rows, columns = (
        _CELL_PX * np.arange(round((edge_px + 2 * border_px) / _CELL_PX))
        for edge_px in (height_px, width_px)
    )
    y = rows[:, None] * number * np.sin(direction)
    x = columns[:, None] * number * np.cos(direction) + phase
    landscape: NDArray[np.float64] = np.cos(y) @ np.cos(x).T - np.sin(y) @ np.sin(x).T
    return landscape
