"""Group frames that are near in time and alike, and find those that show something."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCK_FRAMES, WINDOW_FRAMES = 16, 32
"""Groups have about so many frames, which are the most alike of a window."""

KIND_FRAMES_MIN, KINDS_GAP = 4, 0.4
"""Two kinds of frames, so many of each, are parted by a gap in their background or light that is
this share of the range of all."""

LIVE_SHARE, DARK_SHARE = 0.1, 1e-3
"""A frame is dark with less structure than the first share of what is usual near it in time, or
than the second of what is usual in the film."""


def windows(count: int, frames: int) -> list[tuple[int, int]]:
    """First and last (excluded) of about ``frames`` consecutive numbers below ``count``."""
    ends = np.linspace(0, count, max(count // frames, 1) + 1).round().astype(int).tolist()
    return list(pairwise(ends))


def mean_light(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Mean of the usable pixels of frames above their backgrounds, (T,) in ADU; 0 if none is."""
    if not usable.any():
        return np.zeros(len(frames), np.float32)
    count = np.count_nonzero(usable)
    part = usable if count < usable.size else slice(None)  # all of a frame is summed without a copy
    sums_adu = [int(sample_adu[index][part].sum(dtype=np.int64)) for index in frames]
    mean_adu = np.array(sums_adu, np.float64) / count - backgrounds_adu[frames]
    return mean_adu.astype(np.float32)


def alike(
    backgrounds_adu: NDArray[np.float32], light_adu: NDArray[np.float32], distance_frames: int = 1
) -> list[NDArray[np.intp]]:
    """Group frames that are near in time and alike in background and light.

    So bleaching, a flickering lamp and alternating colours hardly differ within a group.

    Parameters
    ----------
    backgrounds_adu, light_adu : ndarray, shape (T,), float32
        Background and `mean_light` of frames in the order of time, in ADU.
    distance_frames : int
        The frames of a group are at least so far apart. With more than 1, groups are half as
        large, lest they extend over too much time.

    Returns
    -------
    list of ndarray, int
        Places of the frames of each group.
    """
    groups: list[NDArray[np.intp]] = []
    halved = 1 if distance_frames == 1 else 2
    for first_of_comb in range(distance_frames):
        comb = np.arange(first_of_comb, len(light_adu), distance_frames)
        for first, last in windows(len(comb), WINDOW_FRAMES // halved):
            for kind in _kinds(comb[first:last], light_adu):
                for part in _kinds(kind, backgrounds_adu):
                    groups += np.array_split(part, max(halved * len(part) // BLOCK_FRAMES, 1))
    return groups


def _kinds(frames: NDArray[np.intp], values: NDArray[np.float32]) -> Iterator[NDArray[np.intp]]:
    """Frames in the order of a value, divided where a wide gap parts two kinds of them."""
    ordered = frames[np.argsort(values[frames], kind="stable")]
    inner = slice(KIND_FRAMES_MIN - 1, len(ordered) - KIND_FRAMES_MIN + 1)
    gaps = np.diff(values[ordered])[inner]
    if not gaps.size or gaps.max() <= KINDS_GAP * np.ptp(values[ordered]):
        yield ordered
        return
    border = KIND_FRAMES_MIN + int(gaps.argmax())
    yield from _kinds(ordered[:border], values)
    yield from _kinds(ordered[border:], values)


def frames_with_structure(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether frames have structure, which a closed shutter has not.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames in the order of time, in ADU.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, in ADU.
    usable : ndarray, shape (Y, X), bool
        Pixels that show the picture.

    Returns
    -------
    ndarray, shape (T,), bool
        For each frame.
    """
    structure = np.empty(len(sample_adu))
    pairs = usable[:, :-1] & usable[:, 1:]
    weight = (pairs / max(np.count_nonzero(pairs), 1)).astype(np.float32)
    for index, frame in enumerate(sample_adu):
        centred = frame - backgrounds_adu[index]  # float32
        left, right = centred[:, :-1], centred[:, 1:]
        left_mean, right_mean = (float(np.vdot(side, weight)) for side in (left, right))
        structure[index] = float(np.vdot(left * right, weight)) - left_mean * right_mean
    alive = structure > DARK_SHARE * np.quantile(structure, 0.9)
    for first, last in windows(len(structure), 2 * WINDOW_FRAMES):
        near = structure[first:last]
        alive[first:last] &= near > LIVE_SHARE * np.quantile(near, 0.9)
    return alive
