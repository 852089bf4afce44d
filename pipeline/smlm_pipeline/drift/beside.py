"""Lay the molecules of channels that drift together beside each other, as one sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.correlation import GRIDS, PIXEL_NM, SHIFT_MOST_NM
from smlm_pipeline.drift.points import Points


def side_by_side(channels: Sequence[Points], corners_nm: Sequence[NDArray[np.float64]]) -> Points:
    """Put channels beside each other, and their molecules in the order of time.

    Channels may show the same structure, so they must not lie where one would seem to be the other
    one, shifted. Fields are folded to the smallest grid of `drift.correlation` and its multiples;
    folded too, the second channel is half of that grid away from the first.

    Parameters
    ----------
    channels : sequence of Points
        One, which stays as it is, or two.
    corners_nm : sequence of ndarray, shape (2, 1)
        The corner of each.
    """
    first, *others = channels
    if not others:
        return first
    (second,) = others
    at_corner_nm = second.yx_nm - corners_nm[1] + corners_nm[0]
    low_nm = float(at_corner_nm[1].min(initial=np.inf))
    high_nm = float(first.yx_nm[1].max(initial=-np.inf))
    apart_nm = max(high_nm - low_nm, 0.0) + SHIFT_MOST_NM
    grid_nm = min(GRIDS) * PIXEL_NM
    grids = np.ceil(apart_nm / grid_nm - 0.5)
    moved_nm = at_corner_nm + np.array([[0.0], [(grids + 0.5) * grid_nm]])
    frame = np.concatenate([first.frame, second.frame])
    order = np.argsort(frame, kind="stable")
    return Points(frame[order], np.concatenate([first.yx_nm, moved_nm], axis=1)[:, order])
