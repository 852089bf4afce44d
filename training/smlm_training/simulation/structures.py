"""Structures of a sample, from which the positions of molecules are drawn.

Positions are in camera pixels from the top-left corner of the first pixel;
x runs along columns and y along rows. Molecules are also placed in a border
around the field, since their light reaches into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Positions = tuple[NDArray[np.float64], NDArray[np.float64]]
"""y and x, both in camera pixels."""


class Structure(Protocol):
    """A structure from which positions of molecules are drawn."""

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        ...

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Molecules anywhere in the field and its border, at one density."""

    height_px: int
    width_px: int
    density_per_px2: float
    border_px: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        area_px2 = (self.height_px + 2 * self.border_px) * (self.width_px + 2 * self.border_px)
        return self.density_per_px2 * area_px2

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        y_px = rng.uniform(-self.border_px, self.height_px + self.border_px, count)
        x_px = rng.uniform(-self.border_px, self.width_px + self.border_px, count)
        return y_px, x_px


@dataclass(frozen=True)
class Filaments:
    """Molecules along wavy lines, like labelled microtubules.

    ``points_px`` (K, 2) are densely spaced points (y, x) of all lines in the field
    or its border, ``weights_px`` (K,) the length of line that each represents,
    ``radius_px`` the standard deviation of a molecule's distance from the axis.
    """

    points_px: NDArray[np.float64]
    weights_px: NDArray[np.float64]
    density_per_px: float
    radius_px: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return float(self.density_per_px * self.weights_px.sum())

    def length_within_px(self, height_px: int, width_px: int) -> float:
        """Length of line in the field, without the border."""
        size = np.array([height_px, width_px])
        within = np.all((self.points_px >= 0) & (self.points_px < size), axis=1)
        return float(self.weights_px[within].sum())

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        cumulated = np.cumsum(self.weights_px)
        chosen = np.searchsorted(cumulated, rng.uniform(0, cumulated[-1], count))
        points = self.points_px[np.minimum(chosen, len(cumulated) - 1)]
        points = points + rng.normal(0, self.radius_px, points.shape)
        return points[:, 0], points[:, 1]


def wavy_filaments(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    spacing_px: tuple[float, float],
    crossing_share: float,
    density_per_px: float,
    radius_px: float,
    border_px: float,
    turn_rad: float = 0.06,
    sway: float = 1.0,
) -> Filaments:
    """A bundle of nearly parallel wavy lines, with some that cross it.

    Lines follow one another at distances drawn from ``spacing_px``; a share of
    them runs in another direction. Each line's deviation from straight is a sum
    of three sinusoids.

    Parameters
    ----------
    turn_rad : float
        Standard deviation of a line's direction from the bundle's, in radians; from
        about 0.2 on, lines meet and part at small angles.
    sway : float
        Amplitude of the waves, relative to ``sway_px``.
    """
    reach_px = np.hypot(height_px, width_px) / 2 + border_px
    spacings = rng.uniform(*spacing_px, size=1 + int(2 * reach_px / spacing_px[0]))
    shifts_px = np.cumsum(spacings) - reach_px
    shifts_px = shifts_px[: max(np.count_nonzero(shifts_px < reach_px), 1)]
    angles = rng.uniform(0, np.pi) + rng.normal(0, turn_rad, len(shifts_px))
    crossing = rng.random(len(shifts_px)) < crossing_share
    angles[crossing] = rng.uniform(0, np.pi, crossing.sum())
    along_px = lines_along(reach_px)
    return clipped_lines(
        along_px,
        shifts_px[:, None] + sway * sway_px(rng, len(angles), along_px),
        angles,
        height_px=height_px,
        width_px=width_px,
        border_px=border_px,
        density_per_px=density_per_px,
        radius_px=radius_px,
    )


def lines_along(reach_px: float, step_px: float = 0.1) -> NDArray[np.float64]:
    """Positions along a line about the field's centre, shape (A,), float64, in camera pixels."""
    return np.arange(-reach_px, reach_px, step_px)


def sway_px(
    rng: np.random.Generator, lines: int, along_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Deviation of each line from straight: a sum of three sinusoids, shape (lines, A)."""
    waves = (lines, 3, 1)
    wavelength_px = rng.uniform(15, 90, waves)
    amplitude_px = rng.uniform(0, 0.03, waves) * wavelength_px
    phase = rng.uniform(0, 2 * np.pi, waves)
    sway: NDArray[np.float64] = np.zeros((lines, len(along_px)))
    for wave in range(3):  # one at a time: a third of the memory on wide fields
        angle = 2 * np.pi * along_px / wavelength_px[:, wave] + phase[:, wave]
        sway += amplitude_px[:, wave] * np.sin(angle)
    return sway


def clipped_lines(
    along_px: NDArray[np.float64],
    across_px: NDArray[np.float64],
    angles: NDArray[np.float64],
    *,
    height_px: int,
    width_px: int,
    border_px: float,
    density_per_px: float,
    radius_px: float,
) -> Filaments:
    """Lines through the field's centre, clipped to the field and its border.

    ``along_px`` (A,) and ``across_px`` (L, A) are their points, turned by ``angles``
    (L,), in radians.
    """
    sine, cosine = np.sin(angles)[:, None], np.cos(angles)[:, None]
    y_px = along_px * sine + across_px * cosine
    x_px = along_px * cosine - across_px * sine
    lengths = np.hypot(np.gradient(y_px, axis=1), np.gradient(x_px, axis=1)).ravel()
    points = np.stack([y_px.ravel(), x_px.ravel()], axis=1)
    points = points + np.array([height_px / 2, width_px / 2])
    inside = within_border(points, height_px, width_px, border_px)
    return Filaments(points[inside], lengths[inside], density_per_px, radius_px)


def within_border(
    points_px: NDArray[np.float64], height_px: int, width_px: int, border_px: float
) -> NDArray[np.bool_]:
    """Whether points (K, 2) are in the field or its border, (K,); of none, the first counts."""
    size_px = np.array([height_px, width_px])
    inside: NDArray[np.bool_] = np.all(
        (points_px > -border_px) & (points_px < size_px + border_px), axis=1
    )
    if not inside.any():
        inside[0] = True
    return inside
