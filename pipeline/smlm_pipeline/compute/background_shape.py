"""Find how the background differs over the field: a cell's own light, uneven illumination."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.frame_kinds import alike, frames_with_structure, mean_light
from smlm_pipeline.compute.levels import (
    Segment,
    frame_backgrounds,
    scale_segments,
    usual_scale_adu,
)

UNEVEN_SCALES, MOLECULES_ERROR = 0.25, 0.1
"""Differences of the background below this share of the scale do not matter to a network; those
below the second share of the mean light of molecules are not known."""

LOW_QUANTILE, HIGH_QUANTILE = 0.1, 0.98
"""Of the background's map: what is taken as even, and what as its largest excess."""

HIGH_SHARE, LOW_SHARE = 0.5, 0.15
"""Pixels with so much, and so little, of the largest excess give its amplitude in each frame."""

FINE_PX, LOCAL_PX, COARSE_PX = 1, 3, 5
"""Reach of the averages: of the map, of what counts as near, and where only molecules are."""

MOLECULES_SCALES = 0.1
"""Mean light of molecules, in scales, from which on a pixel says less about the background."""

COARSE_WEIGHT = 0.05
"""Weight of the wide average beside that of pixels near by, which is at most 1."""

EDGE_SCALES = 0.15
"""A pixel that differs by more from the average about it is at an edge, which stays sharp where no
molecules hide it."""

SHAPE_PASSES = 3
"""An uneven background is sought so often in what is left of it."""

SHAPE_FRAMES_MIN = 32
"""Fewest frames that show the shape of a background."""

AMPLITUDE_PIXELS = 1 << 12
"""Most pixels of each kind that give the amplitude."""

BAND_PIXELS = 1 << 18
"""Pixels of all frames of a group that are computed at once."""


@dataclass(frozen=True)
class BackgroundShape:
    """Excess of the background over its lowest parts, in ADU: (Y, X) float32, on average in time.

    Its amplitude is found in each frame, since a lamp flickers and a cell bleaches.
    ``usual_adu`` is the usual difference of the backgrounds of bright and dark parts.
    """

    excess_adu: NDArray[np.float32]
    usual_adu: float

    @classmethod
    def of(
        cls,
        excess_adu: NDArray[np.float32],
        sample_adu: NDArray[np.uint16],
        frames: NDArray[np.intp],
    ) -> BackgroundShape:
        """Measure the usual difference on some frames of a sample (T, Y, X)."""
        bare = cls(excess_adu, 1.0)
        differences = [bare.amplitudes(sample_adu[index][None])[0] for index in frames]
        return cls(excess_adu, max(float(np.mean(differences)), 1e-6))

    def amplitudes(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Amplitude of the excess in each frame, (N,): 1 is the usual one, 0 is none."""
        values = frames_adu.reshape(len(frames_adu), -1)
        bright, dark = (frame_backgrounds(values[:, places]) for places in self._places)
        amplitudes: NDArray[np.float32] = np.maximum(bright - dark, 0) / np.float32(self.usual_adu)
        return amplitudes

    def even(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Subtract the excess from whole frames (N, Y, X); a copy."""
        evened = np.empty_like(frames_adu)
        for index, amplitude in enumerate(self.amplitudes(frames_adu)):
            level = frames_adu[index] - amplitude * self.excess_adu
            evened[index] = np.rint(np.clip(level, 0, 65535))
        return evened

    @property
    def largest_adu(self) -> float:
        """The largest excess, in ADU, apart from a few pixels."""
        return float(np.quantile(self.excess_adu, HIGH_QUANTILE))

    @cached_property
    def _places(self) -> list[NDArray[np.intp]]:
        """Pixels that give the background of bright and of dark parts."""
        excess, largest = self.excess_adu.ravel(), self.largest_adu
        kinds = excess > HIGH_SHARE * largest, excess <= LOW_SHARE * largest
        places = [np.flatnonzero(kind) for kind in kinds]
        return [each[:: len(each) // AMPLITUDE_PIXELS + 1] for each in places]


def background_shape(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    scale_adu: float,
) -> BackgroundShape | None:
    """Find an uneven background, whatever the molecules' own light.

    The mean of a pixel in time is its background and the light of molecules. The latter shows in
    how the pixel fluctuates together with its neighbours: both its mean and that covariance are
    proportional to the number of molecules (Campbell's theorem, as in
    `smlm_pipeline.compute.fluctuations`). The ratio of the two is taken from the film itself, from
    differences over short distances, where molecules differ and the background does not. What is
    left of the mean is the background; where molecules are dense its neighbourhood counts more.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames in the order of time, spread over the film, in ADU.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, in ADU.
    usable : ndarray, shape (Y, X), bool
        Pixels that show the picture.
    whole : ndarray, shape (T,), bool
        Frames that show it.
    scale_adu : float
        The film's scale, in ADU.

    Returns
    -------
    BackgroundShape or None
        None where the background differs by no more than is known or matters, or frames are few.
    """
    lit = frames_with_structure(sample_adu, backgrounds_adu, usable)
    frames = np.flatnonzero(whole & lit)
    if len(frames) < SHAPE_FRAMES_MIN or np.count_nonzero(usable) < usable.size // 10:
        return None
    if (sample_adu[frames[0]] == sample_adu[frames[-1]]).all():
        return None  # one frame, repeated: nothing is known of its changes
    own, covariance = _mean_and_covariance(sample_adu, backgrounds_adu, usable, frames)
    weight = usable.astype(np.float32)
    mean, _ = _average(own, weight, FINE_PX)
    covariance = np.maximum(_average(covariance, weight, FINE_PX)[0], 0)
    near_mean, near_covariance = (
        _average(each, weight, LOCAL_PX)[0] for each in (mean, covariance)
    )
    own_mean, own_covariance = mean - near_mean, covariance - near_covariance
    power = float((own_covariance * own_covariance * weight).sum())
    ratio = float((own_mean * own_covariance * weight).sum()) / max(power, 1e-9)
    molecules_adu = max(ratio, 0.0) * covariance
    weight /= 1 + np.square(molecules_adu / (MOLECULES_SCALES * scale_adu))
    fine, known = _average(mean - molecules_adu, weight, FINE_PX)
    coarse, _ = _average(mean - molecules_adu, weight, COARSE_PX)
    background = (fine * known + coarse * COARSE_WEIGHT) / (known + COARSE_WEIGHT)
    own -= molecules_adu + background
    edge = np.clip(np.abs(own) / (EDGE_SCALES * scale_adu) - 1, 0, 1)
    background += edge * weight * own
    low, high = np.quantile(background[usable], (LOW_QUANTILE, HIGH_QUANTILE))
    dense_adu = float(np.quantile(molecules_adu[usable], HIGH_QUANTILE))
    if high - low < UNEVEN_SCALES * scale_adu + MOLECULES_ERROR * dense_adu:
        return None
    excess_adu = np.maximum(background - low, 0).astype(np.float32)
    return BackgroundShape.of(excess_adu, sample_adu, frames)


def even_background(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    scale_adu: float,
) -> tuple[BackgroundShape, list[Segment]] | None:
    """Find an uneven background that also changes in time, and the scale of the film without it.

    What changes is taken for molecules at first: the shape comes out too low, and so does the
    scale. So both are sought again in what is left, a few times.

    Parameters
    ----------
    sample_adu, backgrounds_adu, usable, whole, scale_adu
        As of `background_shape`.

    Returns
    -------
    BackgroundShape and list of Segment, or None
        None where the background is even.
    """
    shape = background_shape(sample_adu, backgrounds_adu, usable, whole, scale_adu)
    if shape is None:
        return None
    lit = frames_with_structure(sample_adu, backgrounds_adu, usable)
    frames = np.flatnonzero(whole & lit)  # a closed shutter hides the shape
    places = np.flatnonzero(usable)
    places = places[:: len(places) // AMPLITUDE_PIXELS + 1]
    for _ in range(SHAPE_PASSES):
        even_adu = shape.even(sample_adu)
        left_adu = frame_backgrounds(even_adu.reshape(len(even_adu), -1)[:, places])
        segments = scale_segments(even_adu, left_adu, usable, whole)
        scale_adu = usual_scale_adu(segments)
        rest = background_shape(even_adu, left_adu, usable, whole, scale_adu)
        if rest is None:
            break
        excess_adu = shape.excess_adu + rest.excess_adu
        excess_adu -= np.quantile(excess_adu[usable], LOW_QUANTILE)  # where both are low
        shape = BackgroundShape.of(np.maximum(excess_adu, 0), sample_adu, frames)
    return shape, segments


def _mean_and_covariance(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    frames: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of each pixel above its frames' backgrounds, and covariance with its neighbours."""
    mean, covariance = (np.zeros(usable.shape, np.float32) for _ in range(2))
    light_adu = mean_light(sample_adu, backgrounds_adu, usable, frames)
    height, width = usable.shape
    for group in alike(backgrounds_adu[frames], light_adu):
        chosen = frames[group]
        rows = max(BAND_PIXELS // (len(chosen) * width), 1)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            wide = np.clip(np.arange(first - 1, last + 1), 0, height - 1)
            above = sample_adu[chosen[:, None], wide].astype(np.float32)
            above -= backgrounds_adu[chosen, None, None]
            mean[first:last] += above[:, 1:-1].sum(axis=0)
            above -= above.mean(axis=0)
            beside = above[:, :-2] + above[:, 2:]
            own = above[:, 1:-1]
            beside[:, :, 1:] += own[:, :, :-1]
            beside[:, :, :-1] += own[:, :, 1:]
            beside[:, :, [0, -1]] *= np.float32(4 / 3)
            unbiased = len(chosen) / max(len(chosen) - 1, 1)
            covariance[first:last] += unbiased / 4 * np.einsum("tyx,tyx->yx", own, beside)
    return mean / len(frames), covariance / len(frames)


def _average(
    values: NDArray[np.float32], weight: NDArray[np.float32], reach_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted average of the surroundings of each pixel, and the share of the weight there."""
    total, known = (_summed(each, reach_px) for each in (values * weight, weight))
    average: NDArray[np.float32] = total / np.maximum(known, 1e-9)
    return average, known / (2 * reach_px + 1) ** 4


def _summed(values: NDArray[np.float32], reach_px: int) -> NDArray[np.float32]:
    """Twice the sum over a square of pixels: weights fall off with the distance."""
    for axis in (0, 1, 0, 1):
        size = values.shape[axis]
        lead = [(1, 0) if each == axis else (0, 0) for each in (0, 1)]
        running = np.cumsum(np.pad(values, lead), axis=axis, dtype=np.float64)
        ends = np.clip(np.arange(size) + reach_px + 1, 0, size)
        starts = np.clip(np.arange(size) - reach_px, 0, size)
        values = (np.take(running, ends, axis) - np.take(running, starts, axis)).astype(np.float32)
    return values
