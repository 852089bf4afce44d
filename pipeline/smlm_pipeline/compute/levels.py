"""Estimate the background of frames, and the scale of a film from how its molecules blink."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

BACKGROUND_RANKS = (0.02, 0.20)
"""The background of a frame is the mean of its values between these two ranks."""

TEMPORAL_FRAMES_MIN = 8
"""With fewer frames than this, fluctuations are taken over space, not time."""

BLOCK_FRAMES, WINDOW_FRAMES = 8, 32
"""Fluctuations are about the mean of so many frames, which are the most alike of a window."""

KIND_FRAMES_MIN, KINDS_GAP = 4, 0.4
"""Two kinds of frames, so many of each, are parted by a gap in their background or light that is
this share of the range of all."""

LIVE_SHARE, DARK_SHARE = 0.1, 1e-3
"""A frame is dark, and gives no scale, with less structure than the first share of what is usual
near it in time, or than the second of what is usual in the film."""

BAND_PIXELS = 1 << 20
"""Pixels of all frames of a block that are computed at once."""

SIGNIFICANCE = 3.0
"""Standard errors by which a cumulant must exceed zero to be believed."""

STEP_SIGNIFICANCE, STEP_RATIO, SEGMENT_FRAMES_MIN = 6.0, 1.15, 24
"""The scale steps where it changes by this many errors and this factor, between so many frames."""

NOISE_PER_SCALE = 6.0
"""Scale of a film where nothing blinks, in standard deviations of its noise."""


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
    """Frames ``first`` to ``last - 1`` of a sample, whose molecules have one scale, in ADU."""

    first: int
    last: int
    scale_adu: float


def scale_segments(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> list[Segment]:
    """Estimate the scale of a film from a sample of its frames, anew where it steps.

    The scale is the ratio of the third to the second cross-cumulant of neighbouring pixels'
    fluctuations in time. For molecules that blink independently both are proportional to the
    number of molecules (Campbell's theorem; used for imaging by Dertinger et al.,
    doi 10.1073/pnas.0907866106), so their ratio measures the brightness of one molecule, and
    depends neither on the number of molecules, nor on their positions, nor on the background.
    Cross-cumulants of distinct pixels (doi 10.1364/OE.18.018875) leave out the camera's noise,
    which is independent from pixel to pixel.

    The field as a whole must not rule it. Each frame's background is subtracted first;
    fluctuations are about the mean of a few frames that are near in time and alike in
    background, so that bleaching, a flickering lamp and alternating colours drop out; frames
    without molecules give nothing.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames in the order of time, evenly spread, in ADU; T of about a hundred is plenty.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, see `frame_backgrounds`.
    usable : ndarray, shape (Y, X), bool
        Pixels that may give a scale.

    Returns
    -------
    list of Segment
        The sample in the order of time, cut where molecules become brighter or darker for
        good (another film, another laser power). Where nothing blinks, the scale is
        ``NOISE_PER_SCALE`` times the noise; where nothing fluctuates, 1.
    """
    live = np.flatnonzero(frames_with_structure(sample_adu, backgrounds_adu, usable))
    if len(live) < TEMPORAL_FRAMES_MIN:
        live = np.arange(len(sample_adu))
    parts = _parts(sample_adu, backgrounds_adu, usable, live)
    borders = [0, *(int(frames[0]) for frames, _ in parts[1:]), len(sample_adu)]
    return [
        Segment(first, last, scale_adu)
        for first, last, (_, scale_adu) in zip(borders[:-1], borders[1:], parts, strict=True)
    ]


def _parts(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> list[tuple[NDArray[np.intp], float]]:
    """The frames in parts within which the scale does not step, each with its scale."""
    whole = _Fluctuations.of(sample_adu, backgrounds_adu, usable, frames)
    place = whole.step() if whole.blinks else None
    if place is None:
        return [(frames, whole.scale_adu)]
    place = whole.border_near(place, backgrounds_adu[frames])
    before, after = (
        _parts(sample_adu, backgrounds_adu, usable, part)
        for part in (frames[:place], frames[place:])
    )
    scales = before[-1][1], after[0][1]
    if max(scales) < STEP_RATIO * min(scales):  # what looked like a step was its neighbourhood's
        return [(frames, whole.scale_adu)]
    return before + after


def frames_with_structure(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether frames have structure, which a closed shutter has not.

    Parameters
    ----------
    sample_adu, backgrounds_adu, usable
        As of `scale_segments`.

    Returns
    -------
    ndarray, shape (T,), bool
        True, too, for all frames of a film that has none at all.
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
    for first, last in _windows(len(structure), 2 * WINDOW_FRAMES):
        near = structure[first:last]
        alive[first:last] &= near > LIVE_SHARE * np.quantile(near, 0.9)
    return alive


@dataclass(frozen=True)
class _Fluctuations:
    """Variance, second and third cross-cumulant, (T,) each: the contributions of frames."""

    variance: NDArray[np.float64]
    second: NDArray[np.float64]
    third: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        sample_adu: NDArray[np.uint16],
        backgrounds_adu: NDArray[np.float32],
        usable: NDArray[np.bool_],
        frames: NDArray[np.intp],
    ) -> _Fluctuations:
        """Fluctuations of the chosen frames, in the order of time."""
        variance, second, third = (np.zeros(len(frames)) for _ in range(3))
        corners = np.zeros(usable.shape, np.float32)
        corners[:-1, :-1] = usable[:-1, :-1] & usable[:-1, 1:] & usable[1:, :-1]
        corners /= max(float(corners.sum()), 1.0)
        pixels = (usable / max(np.count_nonzero(usable), 1)).astype(np.float32)
        temporal = len(frames) >= TEMPORAL_FRAMES_MIN
        light_adu = np.array([sample_adu[index].mean(where=usable) for index in frames], np.float32)
        for places in _alike(backgrounds_adu[frames], light_adu):
            chosen, count = frames[places], len(places)
            for rows in _bands(usable.shape, count):
                centred = sample_adu[chosen, rows].astype(np.float32)
                centred -= backgrounds_adu[chosen, None, None]
                centred -= _mean_of(centred, usable[rows], temporal)
                own = centred[:, : rows.stop - rows.start - 1]
                here, right, below = own[:, :, :-1], own[:, :, 1:], centred[:, 1:, :-1]
                weight = corners[rows][:-1, :-1]
                pair = here * (right + below)
                second[places] += np.einsum("tyx,yx->t", pair, weight) / 2
                np.multiply(here, right, out=pair)
                pair *= below
                third[places] += np.einsum("tyx,yx->t", pair, weight)
                squares = np.einsum("tyx,tyx->tyx", own, own, out=own)
                variance[places] += np.einsum("tyx,yx->t", squares, pixels[rows][:-1])
            if temporal:
                variance[places] *= count / (count - 1)
                second[places] *= count / (count - 1)
                third[places] *= count**2 / ((count - 1) * (count - 2))
        return cls(variance, second, third)

    @property
    def blinks(self) -> bool:
        """Whether neighbouring pixels brighten together, as the light of molecules does."""
        return _significant(self.second) and _significant(self.third)

    @property
    def scale_adu(self) -> float:
        """Ratio of the cumulants, or a multiple of the noise where nothing blinks."""
        if self.blinks:
            return float(self.third.mean() / self.second.mean())
        return NOISE_PER_SCALE * float(np.sqrt(self.variance.mean())) or 1.0

    def step(self) -> int | None:
        """The frame at which the scale steps most, if it does."""
        second, third = self.second, self.third
        sums = [np.cumsum(part) for part in (second, third, third**2, second * third, second**2)]
        ends = np.arange(SEGMENT_FRAMES_MIN, len(second) - SEGMENT_FRAMES_MIN + 1)
        if not ends.size:
            return None
        before = [part[ends - 1] for part in sums]
        after = [part[-1] - part[ends - 1] for part in sums]
        (low, low_error), (high, high_error) = _ratio(*before), _ratio(*after)
        low, high = np.minimum(low, high), np.maximum(low, high)
        steps = (high - low) / np.hypot(low_error, high_error)
        steps[(low <= 0) | (high < STEP_RATIO * low)] = 0
        largest = int(np.argmax(steps))
        return int(ends[largest]) if steps[largest] >= STEP_SIGNIFICANCE else None

    def border_near(self, place: int, backgrounds_adu: NDArray[np.float32]) -> int:
        """The frame near a step at which background or structure change most abruptly."""
        reach = 2 * WINDOW_FRAMES
        first, last = max(place - reach, 0), min(place + reach, len(self.second))
        structure = np.log(np.maximum(self.second, 1e-3 * self.second.mean()))
        return (
            max(
                (_abrupt(series[first:last]) for series in (structure, backgrounds_adu)),
                key=lambda found: found[1],
            )[0]
            + first
        )


def _mean_of(
    values: NDArray[np.float32], usable: NDArray[np.bool_], temporal: bool
) -> NDArray[np.float32]:
    """What fluctuations are about: the mean in time, or of each frame where frames are few."""
    means: NDArray[np.float32] = (
        values.mean(axis=0) if temporal else values.mean(axis=(1, 2), keepdims=True, where=usable)
    )
    return means


def _bands(shape: tuple[int, ...], frames: int) -> list[slice]:
    """Rows that are held at once: bands that share their border row, so that all pairs are in."""
    height, width = shape
    rows = max(BAND_PIXELS // (frames * width), 1)
    return [slice(first, min(first + rows, height - 1) + 1) for first in range(0, height - 1, rows)]


def _ratio(
    second: NDArray[np.float64],
    third: NDArray[np.float64],
    third2: NDArray[np.float64],
    mixed: NDArray[np.float64],
    second2: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratio of two sums and its standard error, from sums of values, squares and products."""
    total = np.maximum(second, 1e-12)
    ratio = third / total
    residual2 = third2 - 2 * ratio * mixed + ratio**2 * second2
    return ratio, np.sqrt(np.maximum(residual2, 1e-12)) / total


def _abrupt(series: NDArray[Any]) -> tuple[int, float]:
    """The place that best divides a series in two of different means, and Student's t there."""
    best, largest = len(series) // 2, 0.0
    for place in range(2, len(series) - 1):
        before, after = series[:place], series[place:]
        error = np.sqrt(before.var() / len(before) + after.var() / len(after))
        difference = abs(float(after.mean() - before.mean()))
        if difference > largest * error:
            best, largest = place, difference / max(float(error), 1e-12)
    return best, largest


def _windows(count: int, frames: int) -> list[tuple[int, int]]:
    """First and last (excluded) of about ``frames`` consecutive numbers below ``count``."""
    ends = np.linspace(0, count, max(count // frames, 1) + 1).round().astype(int).tolist()
    return list(pairwise(ends))


def _alike(
    backgrounds_adu: NDArray[np.float32], light_adu: NDArray[np.float32]
) -> list[NDArray[np.intp]]:
    """Places of frames in groups that are near in time and alike in background and light."""
    groups: list[NDArray[np.intp]] = []
    for first, last in _windows(len(backgrounds_adu), WINDOW_FRAMES):
        for kind in _kinds(np.arange(first, last), light_adu):
            for part in _kinds(kind, backgrounds_adu):
                groups += np.array_split(part, max(len(part) // BLOCK_FRAMES, 1))
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


def _significant(per_frame: NDArray[np.float64]) -> bool:
    """Whether the mean over frames exceeds zero by ``SIGNIFICANCE`` standard errors."""
    error = per_frame.std() / np.sqrt(len(per_frame))
    return bool(per_frame.mean() > SIGNIFICANCE * error)
