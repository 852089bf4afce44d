"""Parts of an image on a coarse grid, folded to a size whose Fourier transform is quick."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

PIXEL_NM = 25.0
"""Pixel of the images that are correlated; that of the image where it is larger."""

EDGE_MOST = 1024
"""Longest edge of a folded image, in such pixels."""

TILES = 4
"""Parts along each edge of the field."""

TAPER_NM = 400.0
"""Width of the ramp at the borders of the field, lest these be correlated."""

_BAND_PIXELS = 1 << 22


class Image(Protocol):
    """An image that is read by rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in SR pixels."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        ...


@dataclass(frozen=True)
class Grid:
    """The coarse grid of an image: SR pixels along the edge of a pixel, and its size in nm.

    ``edges`` are height and width of the folded images: a place counts by its remainder, which
    keeps every shift of up to ``reach`` pixels.
    """

    factor: int
    pixel_nm: float
    shape: tuple[int, int]
    reach: int
    edges: tuple[int, int]


def grid_of(shape: tuple[int, ...], sr_pixel_nm: float, reach_nm: float) -> Grid:
    """The grid for an image (height, width) and shifts of up to ``reach_nm`` along an axis."""
    factor = max(round(PIXEL_NM / sr_pixel_nm), 1)
    height, width = (edge // factor for edge in shape[:2])
    reach = math.ceil(reach_nm / (factor * sr_pixel_nm))
    edges = tuple(min(_quick(edge + reach + 1), EDGE_MOST) for edge in (height, width))
    return Grid(factor, factor * sr_pixel_nm, (height, width), reach, (edges[0], edges[1]))


def whole(image: Image, grid: Grid) -> NDArray[np.float32]:
    """The whole image on the grid, folded: shape ``grid.edges``."""
    folded = np.zeros(grid.edges, np.float32)
    columns = np.arange(grid.shape[1]) % grid.edges[1]
    for first, rows in _coarse_rows(image, grid):
        places = (first + np.arange(len(rows))) % grid.edges[0]
        np.add.at(folded, (places[:, None], columns), rows)
    return folded


def parts_of(image: Image, grid: Grid) -> NDArray[np.float32]:
    """The ``TILES`` x ``TILES`` parts of an image, row by row: shape (P, *grid.edges), folded."""
    maps = np.zeros((TILES * TILES, *grid.edges), np.float32)
    height, width = grid.shape
    across = [width * tile // TILES for tile in range(TILES + 1)]
    columns = np.arange(width) % grid.edges[1]
    for first, rows in _coarse_rows(image, grid):
        row = first + np.arange(len(rows))
        down = np.minimum(row * TILES // height, TILES - 1)
        for tile_y in np.unique(down).tolist():
            some = down == tile_y
            places = (row[some] % grid.edges[0])[:, None]
            for tile_x, (left, right) in enumerate(itertools.pairwise(across)):
                part = maps[tile_y * TILES + tile_x]
                np.add.at(part, (places, columns[left:right]), rows[some, left:right])
    return maps


def _coarse_rows(image: Image, grid: Grid) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Rows of the grid, and the number of the first: square roots, tapered at the borders.

    Roots, since the noise of a sum of molecules is that of its root everywhere; a few bright spots
    do not decide then.
    """
    height, width = grid.shape
    down, across = (_taper(edge, grid.pixel_nm) for edge in grid.shape)
    step = max(_BAND_PIXELS // (image.shape[1] * grid.factor), 1)
    for first in range(0, height, step):
        last = min(first + step, height)
        band = image[first * grid.factor : last * grid.factor][:, : width * grid.factor]
        sums = band.reshape(last - first, grid.factor, width, grid.factor).sum(axis=(1, 3))
        yield first, np.sqrt(np.maximum(sums, 0)) * down[first:last, None] * across


def _taper(edge: int, pixel_nm: float) -> NDArray[np.float32]:
    """Ramps of a cosine at both ends of an axis, of at most a quarter of it."""
    ramp = max(min(round(TAPER_NM / pixel_nm), edge // 4), 1)
    place = np.arange(edge) + 0.5
    share = np.clip(np.minimum(place, edge - place) / ramp, 0, 1)
    tapered: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * share)).astype(np.float32)
    return tapered


def _quick(edge: int) -> int:
    """The next larger number of which 2, 3 and 5 alone are factors."""
    while True:
        rest = edge
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return edge
        edge += 1
