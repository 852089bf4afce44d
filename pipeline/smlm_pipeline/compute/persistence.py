"""Find how far apart frames must be to show other molecules: some shine for many in a row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.fluctuations import corners_of

PAIRS_MOST, BLOCKS = 128, 8
"""Pairs of frames that are compared at each distance, and blocks of time that they form."""

RISE, SURE_BLOCKS = 1.06, 7
"""At a larger distance frames differ more, if they do by this factor in the median block, and in
so many blocks."""

LEFT_MOST = 0.2
"""Share of the molecules that may still shine at the largest distance: with a fifth the scale is
some 5 % too low, with a half a quarter."""

FAR_FRAMES_MOST, COMB_FRAMES_MIN = 64, 8
"""The largest distance, and the fewest frames that must be left that far apart."""


def independent_distance(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> tuple[int, bool]:
    """Number of frames after which hardly a molecule still shines.

    Two frames differ by the molecules that shine in one of them alone, and by noise. The product
    of the differences of neighbouring pixels leaves the noise out. It grows with the distance of
    the frames, until none of the first frame's molecules is left. The distance is the last at
    which it grew clearly, in powers of two.

    Parameters
    ----------
    sample_adu : ndarray, shape (N, Y, X), uint16
        Frames in the order of time, in ADU.
    backgrounds_adu : ndarray, shape (N,), float32
        Their backgrounds, in ADU.
    usable : ndarray, shape (Y, X), bool
        Pixels that count.
    frames : ndarray, shape (T,), int
        The frames that count, in the order of time.

    Returns
    -------
    distance_frames : int
        Distance in frames of ``frames``: 1 where each frame shows other molecules.
    known : bool
        Whether that is known: not if the frames are too few to compare any, or if those farthest
        apart still show many of the same molecules.
    """
    farthest = min(len(frames) // COMB_FRAMES_MIN, FAR_FRAMES_MOST)
    if farthest < 2:
        return 1, False
    weight = corners_of(usable)[:-1, :-1].astype(np.float32)

    def differences(distance_frames: int) -> NDArray[np.float64]:
        count = len(frames) - farthest  # the same first frames at all distances
        first = np.unique(np.linspace(0, count - 1, PAIRS_MOST).astype(int))
        products = np.empty(len(first))
        for index, place in enumerate(first):
            one, other = frames[place], frames[place + distance_frames]
            change = sample_adu[other].astype(np.float32) - sample_adu[one]
            change -= backgrounds_adu[other] - backgrounds_adu[one]
            beside = change[:-1, 1:] + change[1:, :-1]
            products[index] = np.vdot(change[:-1, :-1] * beside, weight)
        return np.array([block.sum() for block in np.array_split(products, BLOCKS)])

    distances = [1 << power for power in range(farthest.bit_length())]
    few = [differences(distance) for distance in distances[:2]]
    beyond = differences(distances[min(3, len(distances) - 1)])
    if not (_rises(few[0], few[1]) or _rises(few[1], beyond)):
        return 1, True
    grown = few + [differences(distance) for distance in distances[2:]]
    rises = [_rises(near, far) for near, far in pairwise(grown)]
    last = max(place for place, rise in enumerate([True, *rises]) if rise)
    near, far = (float(blocks.sum()) for blocks in grown[-2:])
    left = (far / max(near, 1e-9) - 1) ** 2  # where blinks last exponentially long
    return distances[last], last < len(distances) - 1 or left < LEFT_MOST


def _rises(near: NDArray[np.float64], far: NDArray[np.float64]) -> bool:
    rise = far > RISE * near
    return bool(np.median(far - RISE * near) > 0 and np.count_nonzero(rise) >= SURE_BLOCKS)
