"""Measure whether positions prefer some places within a camera pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.localise.table import Molecules

SUB_PIXEL_BINS = 8


@dataclass(frozen=True)
class PixelDistribution:
    """Distribution of molecules within their camera pixels, along y and x.

    ``y_share`` and ``x_share`` (bins,) sum to 1. ``deviation_percent`` is the
    largest deviation of a share from 1 / bins, in percent of it, and
    ``chance_percent`` the standard deviation of one share for as many uniform
    positions: 100 sqrt((bins - 1) / count), from the binomial distribution. Both
    are NaN without molecules.
    """

    y_share: NDArray[np.float64]
    x_share: NDArray[np.float64]
    deviation_percent: float
    chance_percent: float


def pixel_distribution(
    molecules: Molecules, *, pixel_size_nm: float, bins: int = SUB_PIXEL_BINS
) -> PixelDistribution:
    """Histogram of the positions modulo a camera pixel.

    It should be flat only for samples that are independent of the pixel grid: uniform ones,
    or many filaments in all directions.

    Parameters
    ----------
    molecules : Molecules
        Molecules found.
    pixel_size_nm : float
        Edge of a camera pixel.
    bins : int
        Equal parts of a pixel's edge.
    """
    count = len(molecules.frame)
    y_share, x_share = (
        np.histogram(position_nm / pixel_size_nm % 1, bins, (0, 1))[0] / max(count, 1)
        for position_nm in (molecules.y_nm, molecules.x_nm)
    )
    if not count:
        return PixelDistribution(y_share, x_share, float("nan"), float("nan"))
    deviation = np.abs(np.concatenate([y_share, x_share]) * bins - 1).max()
    chance = np.sqrt((bins - 1) / count)
    return PixelDistribution(y_share, x_share, float(100 * deviation), float(100 * chance))
