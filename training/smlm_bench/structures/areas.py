"""Structures that fill areas. Each builder takes one length in micrometres that rules the shape."""

from __future__ import annotations

import numpy as np
import scipy

from smlm_bench.structures.lines import waves
from smlm_bench.structures.shape import FIELD_PX, GRID_PER_PX, PX_PER_UM, Area, Lines, grid_px


def star(rng: np.random.Generator, period_um: float) -> Area:
    """A Siemens star: wedges that are ``period_um`` apart at the edge of the field."""
    y_px, x_px = (axis - FIELD_PX / 2 for axis in grid_px())
    radius_px = np.hypot(y_px, x_px)
    spokes = round(np.pi * FIELD_PX / (period_um * PX_PER_UM))
    wedge = np.cos(spokes * np.arctan2(y_px, x_px) + rng.uniform(0, 2 * np.pi)) > 0
    return Area(wedge & (radius_px <= FIELD_PX / 2) & (radius_px >= 2))


def bundles(rng: np.random.Generator, width_um: float) -> Area:
    """Bands of ``width_um`` along every third of the lines of long waves."""
    lines = waves(rng, 6.0)
    chosen = Lines(lines.paths_px[::3], lines.radius_px)
    distance_px = scipy.ndimage.distance_transform_edt(~chosen.mask) / GRID_PER_PX
    return Area(distance_px <= width_um * PX_PER_UM / 2)


def blobs(rng: np.random.Generator, diameter_um: float) -> Area:
    """Filled blobs of about ``diameter_um`` in the left half; the rest is empty."""
    _, x_px = grid_px()
    noise = rng.normal(size=(x_px.size, x_px.size))
    smooth = scipy.ndimage.gaussian_filter(noise, diameter_um * PX_PER_UM * GRID_PER_PX / 4)
    return Area((smooth > np.quantile(smooth, 0.6)) & (x_px < FIELD_PX / 2))


def uniform(_rng: np.random.Generator, _length_um: float) -> Area:
    """Molecules everywhere; it has no length."""
    y_px, x_px = grid_px()
    return Area(np.ones((y_px.size, x_px.size), bool))
