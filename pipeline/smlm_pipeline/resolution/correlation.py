"""Fourier ring correlation of two halves of the molecules (doi 10.1038/nmeth.2448)."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.rings import (
    TILE_PX,
    Image,
    RingSums,
    ring_sums,
    tile_edge_px,
    tile_pairs,
)

THRESHOLD = 1 / 7
"""The correlation that is still resolved."""

SMOOTHING_RINGS = 7
"""Rings over which the sums of a curve are averaged."""

MAP_TILE_NM = 2500.0
"""Edge of the tiles of a map, about."""

_MAP_TILES_PX = (64, 128, 256, 512)
_FIRST_RING = 3
"""Rings below hold the outline of the sample, and few values."""


@dataclass(frozen=True)
class RingCurve:
    """The correlation of each ring (E // 2,), float64, and the frequency of the rings.

    ``resolution_nm`` is the length at which the curve first falls below ``THRESHOLD``; infinite
    where it is never above, and two SR pixels where it never falls: then ``limited`` is true.
    """

    correlation: NDArray[np.float64]
    per_um: NDArray[np.float64]
    resolution_nm: float
    limited: bool


def ring_correlation(sums: RingSums, sr_pixel_nm: float) -> RingCurve:
    """The curve of pooled sums, smoothed over ``SMOOTHING_RINGS`` rings."""
    together, one, two = (
        _smoothed(each) for each in (sums.together, sums.power_one, sums.power_two)
    )
    power = np.sqrt(one * two)
    curve = np.divide(together, power, out=np.zeros_like(power), where=power > 0)
    per_um = np.arange(len(curve)) * 1000 / (sums.edge_px * sr_pixel_nm)
    below = np.flatnonzero(curve[_FIRST_RING:] < THRESHOLD) + _FIRST_RING
    if not len(below):
        return RingCurve(curve, per_um, 2 * sr_pixel_nm, limited=True)
    last = int(below[0])
    if last == _FIRST_RING:
        return RingCurve(curve, per_um, float("inf"), limited=False)
    high, low = curve[last - 1], curve[last]
    ring = last - 1 + (high - THRESHOLD) / (high - low)
    return RingCurve(curve, per_um, float(sums.edge_px * sr_pixel_nm / ring), limited=False)


def pooled_sums(one: Image, two: Image) -> RingSums:
    """The ring sums of two images of one size, pooled over tiles that cover them."""
    edge_px = tile_edge_px(one, TILE_PX)
    pairs = tile_pairs(one, two, edge_px, edge_px)
    return functools.reduce(operator.add, (ring_sums(pair.one, pair.two) for pair in pairs))


@dataclass(frozen=True)
class ResolutionMap:
    """The resolution of overlapping tiles, (rows, columns) float32, in nm.

    Not a number where the tile has too few molecules to tell. ``step_nm`` is the distance of
    tiles, and ``edge_nm`` the edge of one.
    """

    resolution_nm: NDArray[np.float32]
    step_nm: float
    edge_nm: float

    @property
    def quartiles_nm(self) -> tuple[float, float, float] | None:
        """Quartiles over the tiles that have a number."""
        known = self.resolution_nm[np.isfinite(self.resolution_nm)]
        if not known.size:
            return None
        low, middle, high = np.percentile(known, (25, 50, 75)).tolist()
        return low, middle, high


def resolution_map(one: Image, two: Image, sr_pixel_nm: float) -> ResolutionMap:
    """Correlate two images of one size tile by tile; tiles overlap by half.

    Parameters
    ----------
    one, two : Image
        The halves, in emitters per SR pixel.
    sr_pixel_nm : float
        Edge of an SR pixel.
    """
    wanted_px = MAP_TILE_NM / sr_pixel_nm
    edge_px = tile_edge_px(one, min(_MAP_TILES_PX, key=lambda edge: abs(np.log(edge / wanted_px))))
    found: dict[tuple[int, int], float] = {}
    for pair in tile_pairs(one, two, edge_px, edge_px // 2):
        enough = min(float(half.sum()) for half in (pair.one, pair.two)) >= MAP_MOLECULES_LEAST
        number = float("nan")
        if enough:
            number = ring_correlation(ring_sums(pair.one, pair.two), sr_pixel_nm).resolution_nm
        found[pair.top, pair.left] = number if np.isfinite(number) else float("nan")
    rows = len({top for top, _ in found})
    tiles = np.array(list(found.values()), np.float32).reshape(rows, -1)
    return ResolutionMap(tiles, edge_px // 2 * sr_pixel_nm, edge_px * sr_pixel_nm)


MAP_MOLECULES_LEAST = 200.0
"""Fewest molecules of each half in a tile of a map."""


def _smoothed(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving sums, of fewer rings at the ends."""
    reach = SMOOTHING_RINGS // 2
    total = np.concatenate([[0.0], np.cumsum(sums)])
    rings = np.arange(len(sums))
    last = np.minimum(rings + reach + 1, len(sums))
    moving: NDArray[np.float64] = total[last] - total[np.maximum(rings - reach, 0)]
    return moving
