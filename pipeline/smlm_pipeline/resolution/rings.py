"""Sums over the rings of Fourier transforms, pooled over the tiles of an image."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

TILE_PX = 512
"""Edge of a tile, in SR pixels; a smaller image is one tile of its shorter edge."""

TAPER = 0.25
"""Share of a tile that is tapered, so that its edges make no correlation of their own."""


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
class RingSums:
    """Sums over rings one frequency wide, from 0 up to Nyquist's, each (E // 2,) float64.

    ``together`` is the real part of the product of two transforms, ``power_one`` and
    ``power_two`` their squares, and ``amplitude`` and ``power`` those of the sum of both images;
    ``count`` is the number of values. ``edge_px`` is the edge E of a tile.
    """

    together: NDArray[np.float64]
    power_one: NDArray[np.float64]
    power_two: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    power: NDArray[np.float64]
    count: NDArray[np.float64]
    edge_px: int

    def __add__(self, other: RingSums) -> RingSums:
        return RingSums(
            self.together + other.together,
            self.power_one + other.power_one,
            self.power_two + other.power_two,
            self.amplitude + other.amplitude,
            self.power + other.power,
            self.count + other.count,
            self.edge_px,
        )


@dataclass(frozen=True)
class TilePair:
    """The same tile of two images: its first row and column, and both, (E, E) float32."""

    top: int
    left: int
    one: NDArray[np.float32]
    two: NDArray[np.float32]


def tile_pairs(one: Image, two: Image, edge_px: int, step_px: int) -> Iterator[TilePair]:
    """Tiles of two images of one size, a band of rows in memory at a time.

    Tiles are ``step_px`` apart; the last ones end with the image.
    """
    height, width = one.shape
    for top in _starts(height, edge_px, step_px):
        bands = one[top : top + edge_px], two[top : top + edge_px]
        for left in _starts(width, edge_px, step_px):
            columns = slice(left, left + edge_px)
            yield TilePair(top, left, bands[0][:, columns], bands[1][:, columns])


def tile_edge_px(image: Image, most_px: int) -> int:
    """The edge of the tiles of an image: an even number."""
    return min(most_px, *image.shape) // 2 * 2


def ring_sums(one: NDArray[np.float32], two: NDArray[np.float32]) -> RingSums:
    """Transform two tiles (E, E), tapered and less their means, and sum over rings."""
    edge = len(one)
    taper, ring = _taper(edge), _rings(edge)
    first, second = (np.fft.rfft2((tile - tile.mean()) * taper) for tile in (one, two))
    both = first + second
    twice = np.full(first.shape, 2.0)
    twice[:, 0] = twice[:, -1] = 1  # their mirror images are in the transform

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(ring, (values * twice).ravel(), edge)
        return np.asarray(sums[: edge // 2], np.float64)

    return RingSums(
        summed((first * np.conj(second)).real),
        summed(np.abs(first) ** 2),
        summed(np.abs(second) ** 2),
        summed(np.abs(both)),
        summed(np.abs(both) ** 2),
        summed(np.ones(first.shape)),
        edge,
    )


def _starts(size: int, edge: int, step: int) -> list[int]:
    """First pixels of the tiles along an axis."""
    return [*range(0, size - edge, step), size - edge]


@functools.lru_cache(maxsize=4)
def _taper(edge: int) -> NDArray[np.float64]:
    """A Tukey window."""
    from_end = np.minimum(np.arange(edge) + 0.5, edge - np.arange(edge) - 0.5) / edge
    ramp = np.clip(from_end / (TAPER / 2), 0, 1)
    window = 0.5 - 0.5 * np.cos(np.pi * ramp)
    return np.outer(window, window)


@functools.lru_cache(maxsize=4)
def _rings(edge: int) -> NDArray[np.int64]:
    """The ring of each value of a transform, flat."""
    y, x = np.fft.fftfreq(edge, 1 / edge), np.fft.rfftfreq(edge, 1 / edge)
    ring: NDArray[np.int64] = np.rint(np.hypot(y[:, None], x)).astype(np.int64).ravel()
    return ring
