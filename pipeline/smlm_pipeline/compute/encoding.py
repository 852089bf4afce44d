"""The sums of a chunk as they travel; clients, who run without compiled loops, only decode them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute import draw_kernels
from smlm_pipeline.compute.sparse import SparseSums

_ENTRY_MOST = (1 << 16) - 1
"""Largest step and largest sum of one entry."""


def encode(sums: SparseSums) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the tensors STEP and WEIGHT of positive sums, (K,) uint16 each.

    `smlm_pipeline.compute.sparse.decode` reads them.
    """
    given = sums.index, sums.weight, _ENTRY_MOST
    entries = draw_kernels.count_entries(*given)
    step, weight = np.empty(entries, np.uint16), np.empty(entries, np.uint16)
    draw_kernels.write_entries(*given, step, weight)
    return step, weight
