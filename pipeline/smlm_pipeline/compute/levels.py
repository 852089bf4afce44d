"""Estimate the background of frames, and the scale of a film from how its molecules blink."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.fluctuations import STEP_RATIO, Fluctuations
from smlm_pipeline.compute.frame_kinds import frames_with_structure
from smlm_pipeline.compute.persistence import independent_distance

BACKGROUND_RANKS = (0.02, 0.20)
"""The background of a frame is the mean of its values between these two ranks."""

TEMPORAL_FRAMES_MIN = 3
"""With fewer frames than this, fluctuations are taken over space, not time. There the structure of
the sample fluctuates too: the scale of dense lines comes out twice as large."""

ERROR_IN_SPACE = 1.0
"""Relative error of such a scale."""

LIT_FRAMES_MIN = 8
"""Of fewer frames with structure, all are looked at: those without may be molecules' own pauses."""

BELIEVED = (3.0, 0.0), (2.0, 2.0), (1.0, 4.0)
"""Standard errors by which cumulants must exceed zero to be believed, if the scale that they give
is so many times the noise: three errors are enough alone."""

NOISE_PER_SCALE = 6.0
"""Scale of a film where nothing blinks, in standard deviations of the noise."""


NOISE_FRAMES, MEDIAN_OF_NORMAL = 32, 0.6745
"""Frames whose noise is measured; median of the absolute value of a normal variable."""


def spread_evenly(count: int, most: int) -> list[int]:
    """Choose at most ``most`` numbers below ``count``, the first and the last among them."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
    return chosen


def frame_backgrounds(
    values_adu: NDArray[np.uint16], fill_adu: int | None = None
) -> NDArray[np.float32]:
    """Estimate the background of each frame from its darker pixels, and from no other frame.

    So a shutter, a pulse of activation or a second colour changes the background of its own
    frames alone, and the result does not depend on how a film is cut.

    Parameters
    ----------
    values_adu : ndarray, shape (N, P), uint16
        Pixels of frames, in any order, in ADU.
    fill_adu : int, optional
        The lowest value, if it marks pixels that show no picture.

    Returns
    -------
    ndarray, shape (N,), float32
        Mean of the values between the two ``BACKGROUND_RANKS``, in ADU.
    """
    ordered = np.sort(values_adu, axis=1, kind="stable")  # a radix sort of uint16
    if fill_adu is None:
        low, high = _ranks(ordered.shape[1])
        means: NDArray[np.float64] = ordered[:, low:high].mean(axis=1)
        return means.astype(np.float32)
    backgrounds_adu = np.empty(len(ordered), np.float32)
    for index, frame in enumerate(ordered):
        shown = frame[np.searchsorted(frame, fill_adu, side="right") :]
        low, high = _ranks(len(shown))
        backgrounds_adu[index] = shown[low:high].mean() if len(shown) else fill_adu
    return backgrounds_adu


def _ranks(count: int) -> tuple[int, int]:
    low, high = (round(rank * count) for rank in BACKGROUND_RANKS)
    return low, max(high, low + 1)


@dataclass(frozen=True)
class Segment:
    """Frames ``first`` to ``last - 1`` of a sample, whose molecules have one scale, in ADU.

    ``scale_error`` is the standard error of the scale as a share of it; NaN if nothing blinks.
    ``long_enough`` says whether the frames are enough to tell for how long molecules shine.
    """

    first: int
    last: int
    scale_adu: float
    scale_error: float = 0.0
    long_enough: bool = True

    def scaled(self, factor: float) -> Segment:
        """The same with a scale that is so many times as large."""
        return replace(self, scale_adu=self.scale_adu * factor)


def usual_scale_adu(segments: Sequence[Segment]) -> float:
    """The scale of most of a film, in ADU."""
    return float(np.median([segment.scale_adu for segment in segments]))


def scale_segments(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
) -> list[Segment]:
    """Estimate the scale of a film from a sample of its frames, and where it steps.

    The scale is the ratio of the third to the second cross-cumulant of neighbouring pixels, see
    `Fluctuations`. The field as a whole must not rule it: each frame's background is subtracted
    first; fluctuations are about the mean of a few frames that are near in time and alike, but far
    enough apart to show different molecules; frames without molecules give nothing.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames in the order of time, spread over the film, in ADU; T of about a hundred is plenty.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, see `frame_backgrounds`.
    usable : ndarray, shape (Y, X), bool
        Pixels that may give a scale.
    whole : ndarray, shape (T,), bool
        Frames that may give a scale.

    Returns
    -------
    list of Segment
        The sample in the order of time, cut where molecules become brighter or darker for
        good (another film, another laser power). Where nothing blinks, the scale is
        ``NOISE_PER_SCALE`` times the noise; where nothing fluctuates, 1.
    """
    lit = np.flatnonzero(whole & frames_with_structure(sample_adu, backgrounds_adu, usable))
    if len(lit) < LIT_FRAMES_MIN:
        lit = np.flatnonzero(whole)
    parts = _parts(sample_adu, backgrounds_adu, usable, lit)
    borders = [0, *(int(part.frames[0]) for part in parts[1:]), len(sample_adu)]
    return [
        Segment(first, last, part.scale_adu, part.scale_error, part.long_enough)
        for first, last, part in zip(borders[:-1], borders[1:], parts, strict=True)
    ]


@dataclass(frozen=True)
class _Part:
    """Frames within which the scale does not step; its error is NaN if it is that of noise."""

    frames: NDArray[np.intp]
    scale_adu: float
    scale_error: float
    long_enough: bool = True


def _parts(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> list[_Part]:
    film = sample_adu, backgrounds_adu, usable, frames
    if len(frames) < TEMPORAL_FRAMES_MIN:
        return [_part_of_few(*film)]
    distance_frames, known = independent_distance(*film)
    blinking = Fluctuations.of(*film, temporal=True, distance_frames=distance_frames)
    whole = _Part(frames, blinking.scale_adu, blinking.scale_error, known)
    if not _believed(blinking, sample_adu, usable, frames):
        return [_part_of_few(*film)]
    step = blinking.step()
    if step is None:
        return [whole]
    place = blinking.border(step, backgrounds_adu[frames])
    before, after = (
        _parts(sample_adu, backgrounds_adu, usable, part)
        for part in (frames[:place], frames[place:])
    )
    scales = before[-1].scale_adu, after[0].scale_adu
    if max(scales) < STEP_RATIO * min(scales):  # what looked like a step was its neighbourhood's
        return [whole]
    return before + after


def _believed(
    found: Fluctuations,
    sample_adu: NDArray[np.uint16],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> bool:
    (sure, _), *others = BELIEVED
    if found.exceed(sure):
        return True
    noise_adu = noise_of(sample_adu, usable, frames)
    return any(
        found.exceed(errors) and found.scale_adu > noise_per_scale * noise_adu
        for errors, noise_per_scale in others
    )


def _part_of_few(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> _Part:
    """Frames too few to fluctuate in time: the scale is that in space, or that of the noise."""
    noise_adu = noise_of(sample_adu, usable, frames)
    spots = Fluctuations.of(sample_adu, backgrounds_adu, usable, frames, temporal=False)
    believed = len(frames) > 1 and _believed(spots, sample_adu, usable, frames)
    _, noise_per_scale = BELIEVED[-1]  # a single frame has no errors
    if believed or spots.scale_adu > noise_per_scale * noise_adu:
        return _Part(frames, spots.scale_adu, ERROR_IN_SPACE)
    return _Part(frames, NOISE_PER_SCALE * noise_adu or 1.0, math.nan)


def noise_of(
    sample_adu: NDArray[np.uint16], usable: NDArray[np.bool_], frames: NDArray[np.intp]
) -> float:
    """Standard deviation of some frames' noise in ADU, from neighbours in dark places."""
    deviations = []
    if not (usable[:, :-1] & usable[:, 1:]).any():  # a single column
        usable, sample_adu = usable.T, sample_adu.transpose(0, 2, 1)
    pairs = usable[:, :-1] & usable[:, 1:]
    for index in frames[spread_evenly(len(frames), NOISE_FRAMES)]:
        frame = sample_adu[index].astype(np.float32)
        differences = np.abs(frame[:, 1:] - frame[:, :-1])[pairs]
        deviations.append(float(np.median(differences)) if differences.size else 0.0)
    return float(np.median(deviations) / (np.sqrt(2) * MEDIAN_OF_NORMAL))
