"""RMSMD: how far estimates and emitters are from one another, however many there are."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray


def rmsmd_nm(found_nm: NDArray[np.float64], true_nm: NDArray[np.float64]) -> float:
    """Root mean square minimum distance of two sets of points.

    The distance of each point of either set to the nearest point of the other, squared, averaged
    over both sets together (doi 10.1038/s41598-018-35053-9). It is infinite if a set is empty.

    Parameters
    ----------
    found_nm, true_nm : ndarray, shapes (K, 2) and (L, 2)
        Estimates of all frames, and the emitters.
    """
    if not (len(found_nm) and len(true_nm)):
        return float("inf")
    to_true, _ = scipy.spatial.KDTree(true_nm).query(found_nm)
    to_found, _ = scipy.spatial.KDTree(found_nm).query(true_nm)
    distances_nm = np.concatenate([to_true, to_found])
    return float(np.sqrt(np.mean(distances_nm**2)))
