"""Profiles of Gaussian spots along one axis: the share of the light in each pixel of a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Profile = Callable[[NDArray[np.float64], NDArray[np.float64], int], NDArray[Any]]
"""Of centres (N, E) and widths (N, E), in pixels, and a number of pixels: shares (N, E, pixels)."""


def integrated_profile(
    centre_px: NDArray[np.float64], sigma_px: NDArray[np.float64], size_px: int
) -> NDArray[np.float64]:
    """The Gaussian integrated over each pixel (Smith et al., doi 10.1038/nmeth.1449), float64."""
    edges = np.arange(size_px + 1) - centre_px[:, :, None]
    below: NDArray[np.float64] = 0.5 * scipy.special.erf(
        edges / (np.sqrt(2) * sigma_px[:, :, None])
    )
    return np.diff(below, axis=2)


def sampled_profile(
    centre_px: NDArray[np.float64], sigma_px: NDArray[np.float64], size_px: int
) -> NDArray[np.float64]:
    """The Gaussian at each pixel's centre, float64."""
    distance = (np.arange(size_px) + 0.5 - centre_px[:, :, None]) / sigma_px[:, :, None]
    height = 1 / (np.sqrt(2 * np.pi) * sigma_px[:, :, None])
    profile: NDArray[np.float64] = height * np.exp(-0.5 * distance**2)
    return profile


_TABLE_STEPS = 4096
"""Entries of the table for each sigma: their spacing is the error of a place, in sigma."""

_TABLE_REACH = 6
"""Beyond so many sigma there is less than 1e-9 of the light."""


@cache
def _table() -> NDArray[np.float32]:
    """Light below each place, from -_TABLE_REACH to _TABLE_REACH sigma."""
    reach = _TABLE_REACH * _TABLE_STEPS
    below: NDArray[np.float64] = scipy.special.ndtr(np.arange(-reach, reach + 1) / _TABLE_STEPS)
    return below.astype(np.float32)


def tabulated_profile(
    centre_px: NDArray[np.float64], sigma_px: NDArray[np.float64], size_px: int
) -> NDArray[np.float32]:
    """The same as `integrated_profile` to 1e-4 of the light, six times as fast, float32."""
    entries_per_px = (_TABLE_STEPS / sigma_px).astype(np.float32)[:, :, None]
    middle = np.float32(_TABLE_REACH * _TABLE_STEPS + 0.5)
    edges_px = np.arange(size_px + 1, dtype=np.float32) - centre_px[:, :, None].astype(np.float32)
    table = _table()
    entries = edges_px * entries_per_px
    entries += middle
    np.clip(entries, 0, len(table) - 1, out=entries)
    return np.diff(table[entries.astype(np.int32)], axis=2)
