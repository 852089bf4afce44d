"""Pair molecules with emitters frame by frame, nearest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table import Molecules


@dataclass(frozen=True)
class Pairs:
    """Indices of the paired molecules and emitters, both (M,), and their ``distance_nm`` (M,)."""

    found: NDArray[np.int64]
    true: NDArray[np.int64]
    distance_nm: NDArray[np.float64]


def pair(found: Molecules, true: Molecules, *, tolerance_nm: float) -> Pairs:
    """Pair molecules with emitters of the same frame, the nearest two first, each at most once.

    The rule of the SMLM 2016 challenge (doi 10.1038/s41592-019-0364-4): the smallest
    distance in a frame makes a pair, which is removed; this repeats while the smallest
    distance is at most the tolerance. The rule is greedy: it does not minimise the total
    distance. Of equal distances the lower index of ``found``, then of ``true``, wins.

    Parameters
    ----------
    found, true : Molecules
        Molecules and emitters of the same film.
    tolerance_nm : float
        Largest distance of a pair.

    Raises
    ------
    SettingError
        If the tolerance is not positive and finite.
    """
    if not 0 < tolerance_nm < np.inf:
        raise SettingError(f"tolerance is {tolerance_nm} nm; expected a positive distance")
    near = _within(found, true, tolerance_nm)
    order = np.lexsort((near.true, near.found, near.distance_nm))
    left = _take(near, order)
    chosen = []
    while len(left.found):
        nearest = _first_of_each(left.found) & _first_of_each(left.true)
        chosen.append(_take(left, nearest))
        free = ~np.isin(left.found, left.found[nearest]) & ~np.isin(left.true, left.true[nearest])
        left = _take(left, free)
    chosen.append(left)
    return Pairs(
        np.concatenate([part.found for part in chosen]),
        np.concatenate([part.true for part in chosen]),
        np.concatenate([part.distance_nm for part in chosen]),
    )


def _within(found: Molecules, true: Molecules, tolerance_nm: float) -> Pairs:
    """All candidate pairs; frames are so far apart along a third axis that they never mix."""
    if not (len(found.frame) and len(true.frame)):
        none = np.zeros(0, np.int64)
        return Pairs(none, none, np.zeros(0))
    reach_nm = tolerance_nm * (1 + 1e-9)
    trees = [
        scipy.spatial.KDTree(
            np.column_stack([table.frame * (4 * tolerance_nm), table.y_nm, table.x_nm])
        )
        for table in (found, true)
    ]
    near = trees[0].sparse_distance_matrix(trees[1], reach_nm, output_type="ndarray")
    i, j = near["i"].astype(np.int64), near["j"].astype(np.int64)
    distance_nm = np.hypot(found.y_nm[i] - true.y_nm[j], found.x_nm[i] - true.x_nm[j])
    return _take(Pairs(i, j, distance_nm), distance_nm <= tolerance_nm)


def _take(pairs: Pairs, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pairs:
    return Pairs(pairs.found[rows], pairs.true[rows], pairs.distance_nm[rows])


def _first_of_each(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each value appears for the first time, (M,)."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
