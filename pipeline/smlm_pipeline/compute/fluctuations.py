"""Measure how neighbouring pixels fluctuate together: molecules make them, noise does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.frame_kinds import WINDOW_FRAMES, alike, mean_light

BAND_PIXELS = 1 << 18
"""Pixels of all frames of a group that are computed at once."""

ROUNDING_ADU2 = 1e-4
"""A second cumulant below this is the rounding of float32: nothing fluctuates."""

STEP_SIGNIFICANCE, STEP_RATIO, SEGMENT_FRAMES_MIN = 6.0, 1.15, 24
"""The scale steps where it changes by this many errors and this factor, between so many frames."""


@dataclass(frozen=True)
class Fluctuations:
    """Second and third cross-cumulant of neighbouring pixels: (T,) each, by frame.

    For molecules that blink independently both are proportional to the number of molecules
    (Campbell's theorem; used for imaging by Dertinger et al., doi 10.1073/pnas.0907866106), so
    their ratio measures the brightness of one molecule, and depends neither on the number of
    molecules, nor on their positions, nor on the background. Cross-cumulants of distinct pixels
    (doi 10.1364/OE.18.018875) leave out the camera's noise, which is independent from pixel to
    pixel.
    """

    second: NDArray[np.float64]
    third: NDArray[np.float64]
    distance_frames: int = 1
    """Frames that are nearer than this may show the same molecules."""

    @classmethod
    def of(
        cls,
        sample_adu: NDArray[np.uint16],
        backgrounds_adu: NDArray[np.float32],
        usable: NDArray[np.bool_],
        frames: NDArray[np.intp],
        *,
        temporal: bool,
        distance_frames: int = 1,
    ) -> Fluctuations:
        """Compute the fluctuations of some frames.

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
        temporal : bool
            Whether fluctuations are in time, about the mean of frames that are alike, or in
            space, about the mean of each frame.
        distance_frames : int
            Frames so far apart show different molecules, see
            `smlm_pipeline.compute.persistence`. A mean of nearer frames would hold a part of
            what it is subtracted from.
        """
        second, third = np.zeros(len(frames)), np.zeros(len(frames))
        corners = corners_of(usable).astype(np.float32)
        corners /= max(float(corners.sum()), 1.0)
        light_adu = mean_light(sample_adu, backgrounds_adu, usable, frames)
        for places in alike(backgrounds_adu[frames], light_adu, distance_frames if temporal else 1):
            chosen, count = frames[places], len(places)
            for rows in _bands(usable.shape, count):
                centred = sample_adu[chosen, rows].astype(np.float32)
                centred -= backgrounds_adu[chosen, None, None]
                centred -= centred.mean(axis=0) if temporal else light_adu[places, None, None]
                own = centred[:, : rows.stop - rows.start - 1]
                here, right, below = own[:, :, :-1], own[:, :, 1:], centred[:, 1:, :-1]
                weight = corners[rows][:-1, :-1]
                pair = here * (right + below)
                second[places] += np.einsum("tyx,yx->t", pair, weight) / 2
                np.multiply(here, right, out=pair)
                pair *= below
                third[places] += np.einsum("tyx,yx->t", pair, weight)
            if temporal:  # unbiased for a mean of the same frames
                second[places] *= count / (count - 1)
                third[places] *= count**2 / ((count - 1) * (count - 2))
        return cls(second, third, distance_frames)

    @property
    def scale_adu(self) -> float:
        """Ratio of the third to the second cumulant, in ADU; 0 if that is not positive."""
        second, third = float(self.second.mean()), float(self.third.mean())
        return third / second if second > ROUNDING_ADU2 and third > 0 else 0.0

    @property
    def scale_error(self) -> float:
        """Standard error of the scale as a share of it, from how frames differ."""
        second, third = self.second, self.third
        sums = [part.sum() for part in (second, third, third**2, second * third, second**2)]
        ratio, error = _ratio(*(np.array(value) for value in sums))
        return float(np.sqrt(self.distance_frames) * error / ratio) if ratio > 0 else math.inf

    def exceed(self, errors: float) -> bool:
        """Whether both exceed zero by so many standard errors: light blinks in several pixels."""
        return self.second.mean() > ROUNDING_ADU2 and all(
            values.mean() > errors * values.std() / np.sqrt(len(values) / self.distance_frames)
            for values in (self.second, self.third)
        )

    def step(self) -> tuple[int, int] | None:
        """First and last of the frames at one of which the scale steps, if it does."""
        second, third = self.second, self.third
        sums = [np.cumsum(part) for part in (second, third, third**2, second * third, second**2)]
        ends = np.arange(SEGMENT_FRAMES_MIN, len(second) - SEGMENT_FRAMES_MIN + 1)
        if not ends.size:
            return None
        before = [part[ends - 1] for part in sums]
        after = [part[-1] - part[ends - 1] for part in sums]
        (low, low_error), (high, high_error) = _ratio(*before), _ratio(*after)
        low, high = np.minimum(low, high), np.maximum(low, high)
        steps = (high - low) / np.hypot(low_error, high_error) / np.sqrt(self.distance_frames)
        steps[(low <= 0) | (high < STEP_RATIO * low)] = 0
        if steps.max() < STEP_SIGNIFICANCE:
            return None
        likely = ends[steps >= 0.5 * steps.max()]
        return int(likely[0]), int(likely[-1])

    def border(self, step: tuple[int, int], backgrounds_adu: NDArray[np.float32]) -> int:
        """The frame about a step at which background or structure change most abruptly."""
        reach = 2 * WINDOW_FRAMES
        first, last = max(step[0] - reach, 0), min(step[1] + reach, len(self.second))
        structure = np.log(np.maximum(self.second, 1e-3 * self.second.mean()))
        borders = [_abrupt(series[first:last]) for series in (structure, backgrounds_adu)]
        return first + max(borders, key=lambda border: border[1])[0]


def corners_of(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Usable pixels (Y, X) whose neighbours to the right and below are usable too."""
    corners = np.zeros_like(usable)
    corners[:-1, :-1] = usable[:-1, :-1] & usable[:-1, 1:] & usable[1:, :-1]
    return corners


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
