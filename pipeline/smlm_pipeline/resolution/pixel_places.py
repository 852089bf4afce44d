"""Where in their camera pixels molecules are drawn: gridding, and the densest places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.rings import Image

STRIP_PX = 4
"""Camera pixels across a strip; strips hold unlike structures, and share the grid alone."""

STRIPS_LEAST = 4
"""Strips, as if all had as many molecules, of which an error is known at least."""

BLOCK_PX = 10
"""Edge of the blocks in which molecules are counted: a square micrometre of usual pixels."""

DENSE_PERCENTILE = 99.0
"""Percentile of the blocks that counts as the densest place."""

_BAND_PIXELS = 1 << 20


@dataclass(frozen=True)
class PixelPlaces:
    """The places of molecules within camera pixels, and how dense they are.

    Attributes
    ----------
    y_share, x_share : ndarray, shape (zoom,), float64
        Shares of the molecules in the SR rows and columns of a camera pixel; each sums to 1.
    deviation : float
        The largest deviation of a share from that of an even distribution, relative to it.
    deviation_error : float
        Its standard error, by how much strips of the field differ: structures make shares uneven,
        but not those of all strips alike. Infinite where few strips have molecules.
    dense : float
        Molecules, over all frames, of the densest blocks of ``BLOCK_PX`` camera pixels, per camera
        pixel.
    """

    y_share: NDArray[np.float64]
    x_share: NDArray[np.float64]
    deviation: float
    deviation_error: float
    dense: float


def pixel_places(image: Image, zoom: int) -> PixelPlaces:
    """Count an image (zoom Y, zoom X) by the places within camera pixels, and by blocks."""
    height, width = (edge // zoom for edge in image.shape)
    by_row, by_column = np.zeros(height * zoom), np.zeros(width * zoom)
    counts = np.zeros((height, width))
    rows = max(_BAND_PIXELS // image.shape[1] // zoom, 1) * zoom
    for first in range(0, height * zoom, rows):
        band = image[first : min(first + rows, height * zoom)]
        by_row[first : first + len(band)] = band.sum(axis=1, dtype=np.float64)
        by_column += band.sum(axis=0, dtype=np.float64)
        top = first // zoom
        within = band.reshape(-1, zoom, width, zoom).sum(axis=(1, 3), dtype=np.float64)
        counts[top : top + len(within)] = within
    shares = [_shares(profile.reshape(-1, zoom)) for profile in (by_row, by_column)]
    uneven = [np.abs(share * zoom - 1) for share, _ in shares]
    axis = int(uneven[1].max() > uneven[0].max())
    place = int(uneven[axis].argmax())
    return PixelPlaces(
        shares[0][0],
        shares[1][0],
        float(uneven[axis][place]),
        float(shares[axis][1][place] * zoom),
        _dense(counts),
    )


def _shares(profile: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares (zoom,) of a profile (pixels, zoom), and their errors as of a ratio of sums."""
    total = float(profile.sum())
    if total <= 0:
        even = np.full(profile.shape[1], 1 / profile.shape[1])
        return even, np.full_like(even, np.inf)
    share = profile.sum(axis=0) / total
    strips = np.add.reduceat(profile, np.arange(0, len(profile), STRIP_PX), axis=0)
    held = strips.sum(axis=1, keepdims=True)
    if total**2 < STRIPS_LEAST * float(np.square(held).sum()):
        return share, np.full_like(share, np.inf)
    return share, np.sqrt(np.square(strips - share * held).sum(axis=0)) / total


def _dense(counts: NDArray[np.float64]) -> float:
    """Molecules per camera pixel in the densest whole blocks, or of a field smaller than one."""
    height, width = (edge // BLOCK_PX * BLOCK_PX for edge in counts.shape)
    if not height or not width:
        return float(counts.mean())
    blocks = counts[:height, :width].reshape(height // BLOCK_PX, BLOCK_PX, -1, BLOCK_PX)
    return float(np.percentile(blocks.mean(axis=(1, 3)), DENSE_PERCENTILE))
