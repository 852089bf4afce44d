"""Find the pixels of a film that show no picture: constant, hot, flickering, outside of a stop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import spread_evenly

NOISY_SHARE = 0.2
"""A pixel of a camera differs from one frame to the next at least this often."""

CHANCE_RATIO = 20
"""Constant pixels are so many times as many as those that do not change by chance."""

CHANGING_SHARE_MIN = 0.01
"""With fewer pixels that change, a film is taken as it is."""

MAP_FRAMES = 64
"""Frames of the sample, evenly spread, whose low values tell the field from what is outside."""

ROUNDING_ADU2 = 1 / 12
"""Variance of what rounding to whole ADU leaves out: less noise than that is not known."""

FLICKER_RATIO, HOT_RATIO = 12.0, 4.0
"""A hot pixel varies, or exceeds the background, so many times as much as the second brightest of
its eight neighbours.

The light of a molecule cannot: with the narrowest spots that cameras are set up for (0.7 px),
a pixel has at most 8 times the variance and 3 times the light of its nearest neighbours. The
brightest is passed over, since hot pixels come in pairs, too; not at the edge of the picture, where
most of a molecule's light may be outside."""

OUTSIDE_SHARE, OUTSIDE_LIGHT = 0.005, 0.2
"""The outside of a field stop has at least this share of the pixels, and at most this much of the
light that its step in brightness would need."""

LEAK_PX, BLINK_ERRORS = 6, 4.0
"""Light of the field leaks so far out of a stop; beyond, neighbours that brighten together by so
many standard errors are lit by molecules."""

LIT_SHARE, EDGE_PX = 0.9, 6
"""Pixels with less than this share of the field's background, so near to a field stop, are its
blurred edge."""

FILL_SHARE, FILL_SHARE_MOST, FILL_GAP = 1e-4, 0.5, 0.02
"""A value that fills parts of frames has a share of the values between the first two; the next 16
values together have less than the third share of it. A lowest value that has more of a film is its
background, as after a threshold."""


@dataclass(frozen=True)
class PixelFaults:
    """Pixels that show no picture, all (Y, X) bool, and a value that marks others.

    ``hot`` are too bright or flicker, ``constant`` never change, ``outside`` have the camera's
    noise alone. ``fill_adu`` is a value that fills changing parts of frames (the borders of a
    registered film), or None. ``worst_hot`` is y, x of the hot pixel that shines or varies most.
    """

    hot: NDArray[np.bool_]
    constant: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    fill_adu: int | None
    worst_hot: tuple[int, int] | None = None

    @property
    def any_of(self) -> NDArray[np.bool_]:
        """All of them together."""
        return self.hot | self.constant | self.outside


def find_faults(sample_adu: NDArray[np.uint16]) -> PixelFaults:
    """Find the pixels of a film that show no picture, from a sample of its frames.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames evenly spread over the film, in ADU.

    Returns
    -------
    PixelFaults
        None of any kind, if the sample has fewer than 8 frames.
    """
    shape = sample_adu.shape[1:]
    none = np.zeros(shape, bool)
    changing = np.flatnonzero(sample_adu.min(axis=(1, 2)) < sample_adu.max(axis=(1, 2)))
    if len(changing) < 8:
        return PixelFaults(none, none, none, None)
    constant = _constant(sample_adu, changing)
    lit = _lit(sample_adu, changing, constant)
    fill_adu = _fill(sample_adu, lit, constant)
    chosen = lit[spread_evenly(len(lit), MAP_FRAMES)]
    outside = _outside(sample_adu, chosen, constant) if fill_adu is None else none
    if outside.any() and _blinks(sample_adu, lit, outside):
        outside = none
    mean, variance = _moments(sample_adu, lit, constant | outside, fill_adu)
    hot = _hot(mean, variance, constant | outside, len(lit))
    power = np.where(hot, variance + mean * mean, -1)
    y, x = np.unravel_index(int(power.argmax()), shape)
    worst = (int(y), int(x)) if hot.any() else None
    return PixelFaults(hot, constant, outside, fill_adu, worst)


def _constant(sample_adu: NDArray[np.uint16], changing: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Pixels with one value in all frames that are not constant as a whole.

    None in films without noise, where all pixels without a molecule are constant, nor in short
    films of few photons, where many pixels do not change by chance.
    """
    changes = np.zeros(sample_adu.shape[1:], np.int32)
    for before, after in pairwise(changing):
        changes += sample_adu[before] != sample_adu[after]
    constant: NDArray[np.bool_] = changes == 0
    few = np.count_nonzero(~constant) < CHANGING_SHARE_MIN * constant.size
    share = 0.0 if few else float(np.median(changes[~constant])) / len(changing)
    by_chance = constant.size * (1 - share) ** (len(changing) - 1)
    if share < NOISY_SHARE or np.count_nonzero(constant) < CHANCE_RATIO * by_chance:
        return np.zeros_like(constant)
    return constant


def _fill(
    sample_adu: NDArray[np.uint16], frames: NDArray[np.intp], constant: NDArray[np.bool_]
) -> int | None:
    """The lowest value, if it stands apart and fills parts of frames that change with time."""
    counts = np.zeros(1 << 16, np.int64)
    for index in frames:
        counts += np.bincount(sample_adu[index][~constant], minlength=1 << 16)
    lowest = int(np.flatnonzero(counts)[0])
    share = counts[lowest] / counts.sum()
    apart = FILL_SHARE <= share <= FILL_SHARE_MOST
    if not apart or counts[lowest + 1 : lowest + 17].sum() > FILL_GAP * counts[lowest]:
        return None
    return lowest


def _lit(
    sample_adu: NDArray[np.uint16], changing: NDArray[np.intp], constant: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Frames that are not darker than the others' usual spread: the shutter is open."""
    spread = np.array([sample_adu[index][~constant].std() for index in changing])
    lit: NDArray[np.intp] = changing[spread >= 0.2 * np.quantile(spread, 0.75)]
    return lit


def _moments(
    sample_adu: NDArray[np.uint16],
    frames: NDArray[np.intp],
    left_out: NDArray[np.bool_],
    fill_adu: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of each pixel in time, each frame about its own median."""
    count, total, square = (np.zeros(left_out.shape, np.float32) for _ in range(3))
    for index in frames:
        frame = sample_adu[index]
        shown = np.ones(frame.shape, bool) if fill_adu is None else frame != fill_adu
        if not (shown & ~left_out).any():
            continue
        centred = np.where(shown, frame - np.float32(np.median(frame[shown & ~left_out])), 0)
        count += shown
        total += centred
        square += centred * centred
    np.maximum(count, 1, out=count)
    total /= count
    square /= count
    square -= total * total
    return total, square


def _hot(
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    left_out: NDArray[np.bool_],
    frames: int,
) -> NDArray[np.bool_]:
    """Pixels that vary, or shine, as no light through a lens can beside its neighbours."""
    found = np.zeros(mean.shape, bool)
    for _ in range(2):  # the second time without what the first has found
        away = found | left_out
        beside_mean, beside_variance = (_beside(values, away) for values in (mean, variance))
        floor = max(float(np.median(variance[~left_out])), ROUNDING_ADU2)
        flickers = variance > FLICKER_RATIO * np.maximum(beside_variance, 0.25 * floor)
        dark = np.quantile(mean[~left_out], 0.2)
        error = np.sqrt(np.maximum(beside_variance, 0) / frames)
        above, beside_above = mean - dark, np.maximum(beside_mean - dark, 0)
        shines = above > HOT_RATIO * beside_above + 8 * error + np.sqrt(floor)
        found = (flickers | shines | _bright_lines(above, away, floor)) & ~left_out
    return found


def _bright_lines(
    above: NDArray[np.float32], away: NDArray[np.bool_], floor: float
) -> NDArray[np.bool_]:
    """Rows and columns that shine from end to end, beside others that do not."""
    lines = np.zeros(above.shape, bool)
    shown = np.where(away, 0, above)
    for axis in (0, 1):
        level = np.median(shown, axis=1 - axis)
        beside = np.pad(level, 1, mode="reflect")
        beside = np.maximum(np.maximum(beside[:-2], beside[2:]), 0)
        bright = level > HOT_RATIO * beside + np.sqrt(floor)
        lines |= np.expand_dims(bright, 1 - axis)
    return lines


def _beside(values: NDArray[np.float32], away: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The second largest value of each pixel's neighbours; the largest if some are left out."""
    shown = np.pad(np.where(away, np.nan, values), 1, constant_values=np.nan)
    height, width = values.shape
    around = [
        shown[y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)
    ]
    first = second = np.full(values.shape, np.nan, np.float32)
    whole = np.ones(values.shape, bool)
    for value in around:
        second = np.fmax(second, np.fmin(first, value))
        first = np.fmax(first, value)
        whole &= np.isfinite(value)
    return np.nan_to_num(np.where(whole, second, first))


def _outside(
    sample_adu: NDArray[np.uint16], frames: NDArray[np.intp], left_out: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Pixels outside of a field stop: far darker than the darkest of the field, and without light.

    The low values in time of a pixel show the light that is always there. Outside they lie
    together, and apart from all others. A dark part of the sample is no outside: its shot noise
    shows that it has light. The noise of a pixel is that of its difference from its neighbours,
    which the light of molecules, spread over several pixels, hardly enters.
    """
    none = np.zeros(left_out.shape, bool)
    place = len(frames) // 10
    low = np.empty(none.shape, np.float32)
    for row in range(len(low)):  # one row at a time: all frames together are large
        low[row] = np.partition(sample_adu[frames, row], place, axis=0)[place]
    known = ~left_out
    values = low[known]
    darkest = float(np.quantile(values, 2 * OUTSIDE_SHARE))
    mean, noise = _mean_and_noise(sample_adu, frames)
    first = known & (low <= darkest)
    width = 8 * 1.7 * np.sqrt(np.median(noise[first]) / len(frames)) + 2
    dark = known & (low <= darkest + width)
    dark |= left_out & grown(dark, 1)
    core = ~grown(~dark, 2)
    field = ~grown(dark, 3) & known
    if core.sum() < max(OUTSIDE_SHARE * low.size, 9) or field.sum() < 0.01 * low.size:
        return none
    step = float(np.quantile(low[field], 0.05)) - float(np.median(low[core]))
    rise = np.median(noise[field]) - np.median(noise[core])
    slope_adu = rise / max(float(np.median(mean[field]) - np.median(mean[core])), 1e-6)
    light_adu = float(np.median(noise[core])) / max(slope_adu, 1e-6)
    if step <= width or light_adu > OUTSIDE_LIGHT * step:
        return none
    lit = float(np.median(low[core])) + LIT_SHARE * step
    outside: NDArray[np.bool_] = known & (dark | (low < lit) & grown(dark, EDGE_PX))
    return outside


def _blinks(
    sample_adu: NDArray[np.uint16], frames: NDArray[np.intp], region: NDArray[np.bool_]
) -> bool:
    """Whether neighbouring pixels of a region brighten together, which the camera's noise does not.

    A dark region beside a bright cell is part of the picture if molecules are in it.
    """
    inner = ~grown(~region, LEAK_PX)
    pairs = inner[:, :-1] & inner[:, 1:]
    if not pairs.any():
        return False
    mean = np.zeros(region.shape, np.float32)
    for index in frames:
        mean += sample_adu[index]
    mean /= len(frames)
    products = np.empty(len(frames))
    for place, index in enumerate(frames):
        centred = sample_adu[index] - mean
        centred -= np.median(centred[inner])  # what the whole camera does is no light
        products[place] = np.mean((centred[:, :-1] * centred[:, 1:])[pairs])
    return bool(products.mean() > BLINK_ERRORS * products.std() / np.sqrt(len(products)))


def _mean_and_noise(
    sample_adu: NDArray[np.uint16], frames: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of each pixel, and its noise's variance from differences from its neighbours."""
    mean, total = (np.zeros(sample_adu.shape[1:], np.float32) for _ in range(2))
    for index in frames:
        mean += sample_adu[index]
    mean /= len(frames)
    for index in frames:
        wide = np.pad(sample_adu[index] - mean, 1, mode="reflect")
        rows = wide[:-2] - 2 * wide[1:-1] + wide[2:]
        both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
        total += both * both
    return mean, total / (36 * len(frames))


def grown(mask: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    """The mask and all pixels within so many rows and columns of it."""
    grown = mask
    for axis in (0, 1):
        wide = np.pad(grown, [(reach_px, reach_px) if a == axis else (0, 0) for a in (0, 1)])
        size = mask.shape[axis]
        shifted = [np.take(wide, range(s, s + size), axis=axis) for s in range(2 * reach_px + 1)]
        grown = np.logical_or.reduce(shifted)
    return grown
