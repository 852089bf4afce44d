"""Bent lines of many kinds: waves, worm-like chains, and rings and arcs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.structures import (
    Filaments,
    clipped_lines,
    lines_along,
    within_border,
)

_STEP_PX = 0.2
"""Distance of the points of chains, rings and arcs along their line."""

_WAVES = 3
"""Sinusoids of a line; their wavelengths differ by up to ``_WAVELENGTH_FACTOR`` to either side."""

_WAVELENGTH_FACTOR = 1.4


def waves(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    spacing_px: tuple[float, float],
    wavelength_px: float,
    amplitude: float,
    turn_rad: float,
    density_per_px: float,
    radius_px: float,
    border_px: float,
) -> Filaments:
    """Lines that wave about straight ones, each by itself, and may cross their neighbours.

    Parameters
    ----------
    spacing_px : tuple of float
        Smallest and largest distance of neighbours.
    wavelength_px : float
        Middle of the wavelengths.
    amplitude : float
        Root mean square of a line's deviation, relative to ``wavelength_px``.
    turn_rad : float
        Standard deviation of a line's direction from the others', in radians.
    """
    reach_px = np.hypot(height_px, width_px) / 2 + border_px
    most = 1 + int(2 * reach_px / spacing_px[0])
    shifts_px = np.cumsum(rng.uniform(*spacing_px, most)) - reach_px - rng.uniform(0, spacing_px[0])
    shifts_px = shifts_px[: max(np.count_nonzero(shifts_px < reach_px), 1)]
    along_px = lines_along(reach_px)
    parts = (len(shifts_px), _WAVES, 1)
    bend = rng.uniform(-1, 1, parts)
    number_rad = 2 * np.pi / (wavelength_px * _WAVELENGTH_FACTOR**bend)
    height = rng.uniform(0.3, 1, parts)
    height *= np.sqrt(2 / np.sum(height**2, axis=1, keepdims=True))
    deviation = height * np.sin(number_rad * along_px + rng.uniform(0, 2 * np.pi, parts))
    return clipped_lines(
        along_px,
        shifts_px[:, None] + amplitude * wavelength_px * deviation.sum(axis=1),
        rng.uniform(0, np.pi) + rng.normal(0, turn_rad, len(shifts_px)),
        height_px=height_px,
        width_px=width_px,
        border_px=border_px,
        density_per_px=density_per_px,
        radius_px=radius_px,
    )


def worm_like_chains(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    chains: int,
    length_px: float,
    persistence_px: float,
    density_per_px: float,
    radius_px: float,
    border_px: float,
) -> Filaments:
    """Chains of one length with random bends, that begin anywhere and in any direction.

    In two dimensions the direction's cosine decays as exp(-s / (2 P)) along the chain for
    a persistence length P, so its variance grows by 1 / P for each pixel (Kratky and Porod,
    doi 10.1002/recl.19490681203).
    """
    points = max(round(length_px / _STEP_PX), 2)
    bends = rng.normal(0, np.sqrt(_STEP_PX / persistence_px), (chains, points))
    bends[:, 0] = rng.uniform(0, 2 * np.pi, chains)
    angle = np.cumsum(bends, axis=1)
    steps_px = _STEP_PX * np.stack([np.sin(angle), np.cos(angle)], axis=2)
    place_px = np.cumsum(steps_px, axis=1)
    size_px = np.array([height_px, width_px]) + 2 * border_px
    place_px += (rng.random((chains, 2)) * size_px - border_px - place_px[:, points // 2])[:, None]
    return _clipped(
        place_px.reshape(-1, 2), height_px, width_px, border_px, density_per_px, radius_px
    )


def rings_and_arcs(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    centres_px: NDArray[np.float64],
    ring_radius_px: tuple[float, float],
    closed_share: float,
    density_per_px: float,
    radius_px: float,
    border_px: float,
) -> Filaments:
    """Circles about centres (K, 2), each with a radius from the range; some are arcs only."""
    count = len(centres_px)
    low, high = np.log(ring_radius_px)
    ring_px = np.exp(rng.uniform(low, high, count))
    turn = np.where(rng.random(count) < closed_share, 1, rng.uniform(0.15, 0.9, count))
    first, extent = rng.uniform(0, 2 * np.pi, count), 2 * np.pi * turn
    points = np.maximum((extent * ring_px / _STEP_PX).astype(int), 1)
    ring = np.repeat(np.arange(count), points)
    within = np.arange(len(ring)) - np.repeat(np.cumsum(points) - points, points)
    angle = first[ring] + extent[ring] * within / points[ring]
    circle = ring_px[ring, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return _clipped(
        centres_px[ring] + circle, height_px, width_px, border_px, density_per_px, radius_px
    )


def _clipped(
    points_px: NDArray[np.float64],
    height_px: int,
    width_px: int,
    border_px: float,
    density_per_px: float,
    radius_px: float,
) -> Filaments:
    """Points in the field and its border, each for the same length of line."""
    points_px = points_px[within_border(points_px, height_px, width_px, border_px)]
    return Filaments(points_px, np.full(len(points_px), _STEP_PX), density_per_px, radius_px)
