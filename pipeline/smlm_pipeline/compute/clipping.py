"""Find where a camera clips, and the scale that a film would have if it did not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.clipped_light import restored
from smlm_pipeline.compute.levels import Segment, noise_of, scale_segments, usual_scale_adu

CLIPPED_SHARE_MIN, CLIPPED_PEAK = 1e-5, 8
"""The largest value is where the camera clips, if it has this share of the values, and so many
times as many as each of the sixteen below it has on average."""

FARTHER = 2.0
"""The error of a scale is measured by clipping so many times as many values."""

RESTORED_MOST, PIXELS_MOST, FRAMES_LEFT_MIN, ROWS_LEFT_MIN = 1 << 15, 1 << 23, 64, 32
"""So many clipped pixels are restored, of so many pixels in all. Where there are more, fewer frames
and rows are looked at, but at least so many."""

UNIT_ADU = 32767
"""A sample that is clipped at more than this is halved, lest restored light exceed its range."""


@dataclass(frozen=True)
class Clipping:
    """The value at which a camera clips, in ADU, and the share of a sample's values there."""

    value_adu: int
    share: float


def clipping_of(sample_adu: NDArray[np.uint16], usable: NDArray[np.bool_]) -> Clipping | None:
    """Find the value at which frames (T, Y, X) are clipped in their usable pixels (Y, X)."""
    largest = max((int(frame[usable].max(initial=0)) for frame in sample_adu), default=0)
    at, below = 0, 0
    for frame in sample_adu:
        at += np.count_nonzero((frame == largest) & usable)
        below += np.count_nonzero((frame < largest) & (frame >= largest - 16) & usable)
    share = at / max(usable.sum() * len(sample_adu), 1)
    peak = at >= CLIPPED_PEAK * max(below / 16, 1)
    if largest < 17 or not CLIPPED_SHARE_MIN <= share < 0.5 or not peak:
        return None
    return Clipping(largest, float(share))


def without_clipping(
    segments: list[Segment],
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    value_adu: int,
) -> list[Segment]:
    """The segments with the scale of light that is not clipped.

    The third cumulant is made by the brightest light, so a film of which half a percent is clipped
    has three quarters of its scale. Clipped light is therefore restored first (`restored`). What
    that leaves grows in proportion to the clipped share: it is measured by clipping the film at a
    lower value, and subtracted (Richardson's extrapolation, doi 10.1098/rsta.1911.0009).

    Parameters
    ----------
    segments : list of Segment
        Of the sample.
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames in the order of time, spread over the film, in ADU.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, in ADU.
    usable : ndarray, shape (Y, X), bool
        Pixels that may give a scale.
    whole : ndarray, shape (T,), bool
        Frames that may give a scale.
    value_adu : int
        Where the camera clips, see `clipping_of`.

    Returns
    -------
    list of Segment
        Scales are those given, or larger ones.
    """
    film = sample_adu, backgrounds_adu, usable, whole
    return [_corrected(segment, *film, value_adu) for segment in segments]


def _corrected(
    segment: Segment,
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    value_adu: int,
) -> Segment:
    frames = segment.first + np.flatnonzero(whole[segment.first : segment.last])
    count = sum(np.count_nonzero((sample_adu[index] >= value_adu) & usable) for index in frames)
    if count <= CLIPPED_SHARE_MIN * len(frames) * np.count_nonzero(usable):
        return segment
    times = max(FARTHER * count / RESTORED_MOST, len(frames) * usable.size / PIXELS_MOST)
    part, rows = _fewer(frames, usable, times)
    unit = 2 if value_adu > UNIT_ADU else 1
    part_adu = sample_adu[part][:, rows] // np.uint16(unit)
    film = backgrounds_adu[part] / np.float32(unit), usable[rows]
    near_adu, near_share = _scale(part_adu, *film, value_adu // unit)
    if not near_share:  # what is clipped is elsewhere
        return replace(segment, scale_adu=max(segment.scale_adu, unit * near_adu))
    lower_adu = int(np.quantile(part_adu[:, usable[rows]], 1 - FARTHER * near_share))
    far_adu, far_share = _scale(np.minimum(part_adu, lower_adu), *film, lower_adu)
    if far_share > near_share:
        near_adu += max(near_adu - far_adu, 0) / (far_share / near_share - 1)
    return replace(segment, scale_adu=max(segment.scale_adu, unit * near_adu))


def _fewer(
    frames: NDArray[np.intp], usable: NDArray[np.bool_], times: float
) -> tuple[NDArray[np.intp], slice]:
    """Every so many-th frame, and the middle rows of those in use, where there is too much."""
    step = int(np.clip(np.ceil(times), 1, max(len(frames) // FRAMES_LEFT_MIN, 1)))
    used = np.flatnonzero(usable.any(axis=1))
    least = min(ROWS_LEFT_MIN, len(used))
    count = int(np.clip(len(used) * step / max(times, step), least, len(used)))
    first = (len(used) - count) // 2
    return frames[::step], slice(int(used[first]), int(used[first + count - 1]) + 1)


def _scale(
    part_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    value_adu: int,
) -> tuple[float, float]:
    """The scale of frames whose clipped light is restored, in ADU, and its share of values."""
    noise_adu = noise_of(part_adu, usable, np.arange(len(part_adu)))
    share = float(np.mean(part_adu[:, usable] >= value_adu))
    whole_adu = restored(part_adu, backgrounds_adu, usable, value_adu, noise_adu)
    found = scale_segments(whole_adu, backgrounds_adu, usable, np.ones(len(part_adu), bool))
    return usual_scale_adu(found), share
