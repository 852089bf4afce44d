"""Shares of a block of frames, each in a thread of its own.

Threads that share a Fourier transform wait for each other, and what lies between the transforms
runs in one of them; on two threads CEL0 is twice as fast this way.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.network import available_cpus
from smlm_training.comparison.methods.found import Found
from smlm_training.scoring.molecules import stacked

_Value = TypeVar("_Value", bound=np.generic)


def side_by_side(
    reconstruct: Callable[[NDArray[_Value]], Found],
    frames: NDArray[_Value],
    share_frames: int | None = None,
) -> Found:
    """What a method finds in frames (N, Y, X), ``share_frames`` at once in each thread.

    Without ``share_frames`` every thread gets as many. What is found does not depend on the
    threads where frames of different shares know nothing of each other.
    """
    share = share_frames or -(-len(frames) // available_cpus())
    starts = range(0, len(frames), share)
    with ThreadPoolExecutor(available_cpus()) as pool:
        parts = list(pool.map(lambda first: reconstruct(frames[first : first + share]), starts))
    molecules = [
        part.molecules.later(first)
        for part, first in zip(parts, starts, strict=True)
        if part.molecules is not None
    ]
    return Found(np.sum([part.image for part in parts], axis=0), stacked(molecules))
