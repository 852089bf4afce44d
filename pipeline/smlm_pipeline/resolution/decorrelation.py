"""Decorrelation analysis: the resolution of one image (doi 10.1038/s41592-019-0515-7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.rings import RingSums

FILTERS = 20
"""High-pass filters that are tried."""

FILTER_LEAST_PX = 0.3
"""Sigma of the strongest filter, in SR pixels; the weakest is a quarter of a tile."""

PEAK_LEAST = 0.0005
"""Least height of a peak over what follows it."""


def decorrelation_nm(sums: RingSums, sr_pixel_nm: float) -> float:
    """The finest detail that one image holds above its noise, in nm; infinite if there is none.

    The image is compared with itself normalised in Fourier space, within circles of growing
    radius r. Their correlation d(r) has a peak where structure ends and noise begins. High-pass
    filters move the peak outwards; the outermost one is the resolution.

    Parameters
    ----------
    sums : RingSums
        Of the image, by its ``amplitude``, ``power`` and ``count``.
    sr_pixel_nm : float
        Edge of an SR pixel.
    """
    edge = sums.edge_px
    ring = np.arange(len(sums.count))
    widths = np.geomspace(edge / 4, FILTER_LEAST_PX, FILTERS)
    passed = [np.where(ring > 0, 1.0, 0.0)]  # without the mean
    passed += [1 - np.exp(-2 * (np.pi * width * ring / edge) ** 2) for width in widths]
    last = max(_peak(_similarity(sums, each)) for each in passed)
    return edge * sr_pixel_nm / last if last else float("inf")


def _similarity(sums: RingSums, passed: NDArray[np.float64]) -> NDArray[np.float64]:
    """d(r) of a filtered image, for each ring as the radius."""
    together = np.cumsum(sums.amplitude * passed)
    power = float((sums.power * passed**2).sum()) * np.cumsum(sums.count)
    similarity: NDArray[np.float64] = np.zeros(len(together))
    np.divide(together, np.sqrt(power), out=similarity, where=power > 0)
    return similarity


def _peak(similarity: NDArray[np.float64]) -> int:
    """The ring of the peak; 0 where the curve has none."""
    last = len(similarity)
    while last > 1:
        peak = int(similarity[:last].argmax())
        if peak == 0:
            return 0
        if peak < last - 1 and similarity[peak] - similarity[peak:last].min() >= PEAK_LEAST:
            return peak
        last -= 1
    return 0
