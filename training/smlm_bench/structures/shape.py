"""What a structure is: molecules along lines or within an area."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

FIELD_PX = 64
"""Edge of the field of view, in camera pixels."""

PIXEL_SIZE_NM = 100.0
"""Edge of a camera pixel."""

PX_PER_UM = 1000 / PIXEL_SIZE_NM

BORDER_PX = 4
"""Structures reach that far beyond the field, since light from there falls into it."""

GRID_PER_PX = 8
"""Points of the grid of areas along a camera pixel."""

NEAR_PX = 1.5
"""What is within this distance of a structure, 150 nm, is its surroundings."""

Points = NDArray[np.float64]
"""Places (K, 2), y and x in camera pixels from the corner of the field."""

_EDGE = (FIELD_PX + 2 * BORDER_PX) * GRID_PER_PX


class Shape(Protocol):
    """A structure from which places of molecules are drawn."""

    def sample(self, rng: np.random.Generator, count: int) -> Points:
        """Places of ``count`` molecules, in the field and its border."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Points of the grid, border included, that the structure covers."""
        ...

    def along(self, grid_per_px: int) -> NDArray[np.bool_]:
        """Where an image of the field follows the structure, (2, Y, X): along y, along x.

        It is true near a line that runs mostly along that axis, and inside of an area for both.
        """
        ...


def surroundings_um2(shape: Shape) -> float:
    """Area within ``NEAR_PX`` of a structure, in the field and its border.

    Densities count the emitters in this area. It is defined for lines, dots and areas alike.
    """
    distance_px = scipy.ndimage.distance_transform_edt(~shape.mask) / GRID_PER_PX
    return float((distance_px <= NEAR_PX).sum()) / (GRID_PER_PX * PX_PER_UM) ** 2


@dataclass(frozen=True)
class Lines:
    """Molecules along lines, evenly by length.

    ``paths_px`` holds the points (K, 2) of each line, at most ``STEP_PX`` apart; ``radius_px``
    is the standard deviation of a molecule's distance from it along each axis.
    """

    paths_px: tuple[Points, ...]
    radius_px: float

    STEP_PX = 0.1
    _TREND_PX = 1.5
    _BAND_PX = 0.5
    _LEAST_SHARE = 0.75

    @cached_property
    def _pieces(self) -> tuple[Points, Points]:
        """Starts and steps (K, 2) of all pieces whose start is in the field or its border."""
        start = np.concatenate([path[:-1] for path in self.paths_px])
        step = np.concatenate([np.diff(path, axis=0) for path in self.paths_px])
        within = np.all((start >= -BORDER_PX) & (start < FIELD_PX + BORDER_PX), axis=1)
        return start[within], step[within]

    @property
    def length_px(self) -> float:
        """Length of all lines in the field and its border."""
        return float(np.hypot(*self._pieces[1].T).sum())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Points of the grid that a line touches."""
        start, _ = self._pieces
        covered = np.zeros((_EDGE, _EDGE), bool)
        row, column = ((start + BORDER_PX) * GRID_PER_PX).astype(int).T
        covered[row, column] = True
        return covered

    def sample(self, rng: np.random.Generator, count: int) -> Points:
        """Places of ``count`` molecules, in the field and its border."""
        start, step = self._pieces
        upto = np.cumsum(np.hypot(*step.T))
        piece = np.searchsorted(upto, rng.uniform(0, upto[-1], count), side="right")
        piece = np.minimum(piece, len(start) - 1)
        on_line = start[piece] + rng.uniform(0, 1, (count, 1)) * step[piece]
        return on_line + rng.normal(0, self.radius_px, (count, 2))

    def along(self, grid_per_px: int) -> NDArray[np.bool_]:
        """Pixels of an image within 50 nm of a line that runs mostly along y, or along x."""
        points, direction = self._trends()
        centre = (np.arange(FIELD_PX * grid_per_px) + 0.5) / grid_per_px
        pixels = np.stack(np.meshgrid(centre, centre, indexing="ij"), axis=-1)
        tree = scipy.spatial.KDTree(points)
        distance_px, nearest = map(
            np.asarray, tree.query(pixels.reshape(-1, 2), distance_upper_bound=self._BAND_PX)
        )
        near = np.isfinite(distance_px)
        followed = np.zeros((2, len(near)), bool)
        followed[:, near] = np.abs(direction[nearest[near]]).T >= self._LEAST_SHARE
        return followed.reshape(2, *pixels.shape[:2])

    def _trends(self) -> tuple[Points, Points]:
        """Points of all lines, and there the direction between points ``_TREND_PX`` away.

        At the ends of a line, and where it turns sharply, the direction is shorter than 1.
        """
        reach = round(self._TREND_PX / self.STEP_PX)
        points, directions = [], []
        for path in self.paths_px:
            if len(path) > 2 * reach:
                points.append(path[reach:-reach])
                length_px = 2 * reach * self.STEP_PX
                directions.append((path[2 * reach :] - path[: -2 * reach]) / length_px)
        none = [np.full((1, 2), 1e6)], [np.zeros((1, 2))]
        return np.concatenate(points or none[0]), np.concatenate(directions or none[1])


@dataclass(frozen=True)
class Area:
    """Molecules anywhere within an area, evenly.

    ``covered`` has the points of the grid, border included, that belong to it.
    """

    covered: NDArray[np.bool_]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Points of the grid that it covers."""
        return self.covered

    def sample(self, rng: np.random.Generator, count: int) -> Points:
        """Places of ``count`` molecules, in the field and its border."""
        corners = np.argwhere(self.covered)
        chosen = corners[rng.integers(len(corners), size=count)]
        places: Points = (chosen + rng.uniform(0, 1, (count, 2))) / GRID_PER_PX - BORDER_PX
        return places

    def along(self, grid_per_px: int) -> NDArray[np.bool_]:
        """Pixels of an image that lie well inside of the area, for both axes."""
        inside = scipy.ndimage.distance_transform_edt(self.covered) >= GRID_PER_PX / 2
        border = BORDER_PX * GRID_PER_PX
        field = inside[border:-border, border:-border]
        index = np.arange(FIELD_PX * grid_per_px) * GRID_PER_PX // grid_per_px
        followed = field[np.ix_(index, index)]
        return np.stack([followed, followed])


def grid_px() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres y (Y, 1) and x (1, X) of the points of the grid, in camera pixels."""
    centre = (np.arange(_EDGE) + 0.5) / GRID_PER_PX - BORDER_PX
    return centre[:, None], centre[None, :]
