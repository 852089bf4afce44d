"""Bundles of parallel filaments, with gaps between the bundles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.structures import Filaments, clipped_lines, lines_along, sway_px

_OWN_SWAY = 0.15
"""Sway of a line about its bundle, relative to the sway of the bundle."""

_BUNDLE_TURN, _LINE_TURN = 0.12, 0.01
"""Standard deviations, in radians, of a bundle's direction and of a line's in its bundle."""


def bundled_filaments(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    spacing_px: tuple[float, float],
    lines_per_bundle: tuple[int, int],
    gap_px: tuple[float, float],
    crossing_share: float,
    density_per_px: float,
    radius_px: float,
    border_px: float,
) -> Filaments:
    """Bundles of lines that sway together, nearly parallel, and some lines that cross them.

    The lines of a bundle follow one another at distances drawn from ``spacing_px``, the
    bundles at distances drawn from ``gap_px``. A share of the lines runs in another
    direction, each with another sway.
    """
    reach_px = np.hypot(height_px, width_px) / 2 + border_px
    bundle, shifts_px = _places(rng, reach_px, spacing_px, lines_per_bundle, gap_px)
    along_px = lines_along(reach_px)
    bundles = int(bundle[-1]) + 1
    turns = rng.normal(0, _BUNDLE_TURN, bundles)[bundle] + rng.normal(0, _LINE_TURN, len(bundle))
    angles = rng.uniform(0, np.pi) + turns
    own = sway_px(rng, len(bundle), along_px)
    sway = sway_px(rng, bundles, along_px)[bundle] + _OWN_SWAY * own
    crossing = rng.random(len(bundle)) < crossing_share
    angles[crossing] = rng.uniform(0, np.pi, crossing.sum())
    sway[crossing] = own[crossing]
    return clipped_lines(
        along_px,
        shifts_px[:, None] + sway,
        angles,
        height_px=height_px,
        width_px=width_px,
        border_px=border_px,
        density_per_px=density_per_px,
        radius_px=radius_px,
    )


def _places(
    rng: np.random.Generator,
    reach_px: float,
    spacing_px: tuple[float, float],
    lines_per_bundle: tuple[int, int],
    gap_px: tuple[float, float],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of every line its bundle, and its distance from the field's centre."""
    most = 2 + int(2 * (reach_px + gap_px[1]) / spacing_px[0])
    ends = np.cumsum(rng.integers(lines_per_bundle[0], lines_per_bundle[1] + 1, most))
    bundle = np.searchsorted(ends, np.arange(most), side="right")
    steps_px = rng.uniform(*spacing_px, most)
    first = np.flatnonzero(np.diff(bundle, prepend=-1))
    steps_px[first] = rng.uniform(*gap_px, len(first))
    shifts_px = np.cumsum(steps_px) - reach_px - rng.uniform(0, gap_px[1])
    near = max(int(np.count_nonzero(shifts_px < reach_px)), 1)
    return bundle[:near], shifts_px[:near]
