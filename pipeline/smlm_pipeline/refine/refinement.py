"""Refine the sum of a film, as far as one half of the film foretells the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, linear_regression
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.refine.bands import Density, Image, advance, bands, smooth
from smlm_pipeline.refine.gaussian import half_kernel

GAIN_MIN = 0.005
"""Least gain of the held-out likelihood, in nats a molecule, for which another step is taken."""

GAIN_MIN_GRAINED = 0.002
"""The same with a grain, under which more steps sharpen little chance."""

ITERATIONS_MOST = 50
"""Most steps of all."""

ITERATIONS_LEAST = 2
"""Fewest steps of a refined image: after the first one it is the plain image, blurred. A grain
blurs as well, so with one it is one more."""

ITERATIONS_MORE = 2
"""Steps with a grain that the whole film takes beyond those that its halves support: it has twice
as many molecules (docs/measurements/refinement.md)."""

STRUCTURE_GAIN_MIN = 0.02
"""Least gain of the second step for more steps than the halves support. It is 0.05 to 0.2 nats a
molecule for lines and points, and at most 0.014 for areas, whose image more steps make clumpy."""

GRAIN_PX = 0.075
"""Sigma of the least structure that a density with a grain has, in camera pixels."""

MOLECULES_LEAST = 1000.0
"""Fewest molecules from which the number of steps is judged."""

Halves = Sequence[Sequence[Image]]
"""The image of each precision class, of the first and of the second half of the film."""

Stop = Literal["as asked", "likelihood", "limit", "few molecules", "no gain", "too large"]
"""Why there were so many steps; see `Steps`."""


@dataclass(frozen=True)
class Steps:
    """How many steps were taken, and why.

    ``gains`` has for each step that was tried, the first included, by how much it raised the
    likelihood of the other half of the film, in nats a molecule. ``stop`` is "as asked" where the
    user gave the number, "likelihood" where the next step would gain too little, "limit"
    after ``ITERATIONS_MOST``, and where the plain image is kept "few molecules", "no gain", or
    "too large" for the number to be looked for.
    """

    taken: int
    gains: tuple[float, ...]
    stop: Stop

    @property
    def gain(self) -> float:
        """By how much the steps raised the likelihood together.

        The last one that was tried counts only where the user asked for it.
        """
        return sum(self.gains if self.stop == "as asked" else self.gains[:-1])


@dataclass(frozen=True)
class Blur:
    """The errors of the detections of each precision class, as filters, and a density's grain.

    A density with a grain is an underlying one under a Gaussian of ``grain_px``, so it has no
    smaller structure, and chance is not sharpened into any: the method of sieves (D. L. Snyder and
    M. I. Miller, IEEE Trans. Nucl. Sci. 32, 3864, 1985). ``kernels`` are the errors of detections
    about the underlying density.
    """

    kernels: tuple[NDArray[np.float32], ...]
    grain_px: float = 0.0

    @classmethod
    def of(cls, sigmas_px: Sequence[float], grain_px: float = 0.0) -> Blur:
        """Gaussians of these standard deviations, in SR pixels, about a density with a grain."""
        widths_px = [math.hypot(sigma_px, grain_px) for sigma_px in sigmas_px]
        return cls(tuple(half_kernel(width_px) for width_px in widths_px), grain_px)

    @property
    def steps_least(self) -> int:
        """Fewest steps of a refined image."""
        return ITERATIONS_LEAST + (self.grain_px > 0)

    @property
    def gain_min(self) -> float:
        """Least gain for which another step is taken."""
        return GAIN_MIN_GRAINED if self.grain_px else GAIN_MIN


def class_sigmas_px(borders_px: Sequence[float]) -> list[float]:
    """Root mean square of the sigmas in each precision class, for a network's own borders.

    The borders cut a network's detections into classes of equal weight, so they are quantiles of
    its sigmas, which are spread like a logarithmic normal distribution: a line through the
    logarithms of the borders states it. With q = ln(sigma), normal with mean m and deviation s,
    the mean of sigma^2 from q1 to q2 is exp(2 m + 2 s^2) times the share of a normal with mean
    m + 2 s^2 in that range, over the range's own share.

    Parameters
    ----------
    borders_px : sequence of float
        The S - 1 ascending borders between S = 3 or more classes, in camera pixels.

    Returns
    -------
    list of float
        S numbers, in camera pixels. On films of very different density and brightness those of
        detections differ by up to a quarter, in the middle classes by up to an eighth
        (docs/measurements/refinement.md).
    """
    classes = len(borders_px) + 1
    standard = NormalDist()
    quantiles = [standard.inv_cdf(number / classes) for number in range(1, classes)]
    deviation, mean = linear_regression(quantiles, [math.log(border) for border in borders_px])
    scale_px2 = math.exp(2 * mean + 2 * deviation**2)
    ends = (-math.inf, *quantiles, math.inf)
    shifted = (standard.cdf(end - 2 * deviation) for end in ends)
    return [math.sqrt(scale_px2 * (high - low) * classes) for low, high in pairwise(shifted)]


def choose(
    halves: Halves,
    shown: Image,
    grained: Blur,
    sharp: Blur,
    open_density: Callable[[], Density],
    asked: int | None,
    begin_step: Callable[[int], None],
) -> tuple[Blur, Steps]:
    """Find out whether the film's density has a grain, and how many steps the film supports.

    Each half of the film is refined alone, and after each step the detections of the other half
    are foretold. Where they are foretold better with a grain, the density has one. Of a sample
    whose molecules return to the same points, they are not.

    Parameters
    ----------
    halves : sequence of sequence of Image
        Detections per SR pixel.
    shown : Image
        1 where molecules may be, 0 where there is no picture.
    grained, sharp : Blur
        The errors of each class, with and without a grain.
    open_density : callable
        Opens a density of the images' shape.
    asked : int, optional
        The number that the user asks for; as many are tried then.
    begin_step : callable
        Hears the number of each step that is tried, from 1.

    Returns
    -------
    blur : Blur
        With a grain, or without.
    steps : Steps
        Of such a density.
    """
    sums = [sum(_sum(image) for image in half) for half in halves]
    if min(sums) <= 0 or (asked is None and sum(sums) < MOLECULES_LEAST):
        stop: Stop = "few molecules" if asked is None else "as asked"
        return sharp, Steps(asked or 0, (), stop)
    densities = [open_density() for _ in halves]
    numbers = itertools.count(1)

    def try_step() -> None:
        begin_step(next(numbers))

    with_grain, without = (
        _steps(halves, sums, shown, blur, densities, asked, try_step) for blur in (grained, sharp)
    )
    if with_grain.taken and with_grain.gain > without.gain:
        return grained, with_grain
    return sharp, without


def _steps(
    halves: Halves,
    sums: Sequence[float],
    shown: Image,
    blur: Blur,
    densities: Sequence[Density],
    asked: int | None,
    try_step: Callable[[], None],
) -> Steps:
    """How many steps the film supports with such errors and grain."""
    for density, total in zip(densities, sums, strict=True):
        _flat(density, shown, total)

    def advanced(own: int) -> float:
        """Take a step with one half; the likelihood of the other half before it, in nats."""
        density, held_out = densities[own], halves[1 - own]
        return advance(density, halves[own], blur.kernels, held_out=held_out, molecules=sums[own])

    gains: list[float] = []
    with ThreadPoolExecutor(2, thread_name_prefix="refine") as pool:
        before = sum(pool.map(advanced, (0, 1))) / sum(sums)
        for _ in range(asked or ITERATIONS_MOST):
            try_step()
            now = sum(pool.map(advanced, (0, 1))) / sum(sums)
            gains.append(now - before)
            before = now
            if asked is None and gains[-1] < blur.gain_min:
                return _stopped(gains, blur)
    return Steps(len(gains), tuple(gains), "limit" if asked is None else "as asked")


def refine(
    classes: Sequence[Image], shown: Image, blur: Blur, density: Density, steps: int
) -> float:
    """Refine the detections of a whole film into a density of molecules.

    Parameters
    ----------
    classes : sequence of Image
        Detections per SR pixel, of each precision class.
    shown : Image
        1 where molecules may be, 0 where there is no picture.
    blur : Blur
        The errors of each class, and the grain.
    density : Density
        Becomes the density of molecules, per SR pixel.
    steps : int
        How many to take.

    Returns
    -------
    float
        The sum of the density: that of the detections, but for rounding to float32 and for the
        part of a grain that comes to lie where there is no picture.
    """
    _flat(density, shown, sum(_sum(image) for image in classes))
    threads = min(available_cpus(), len(classes))
    with ThreadPoolExecutor(threads, thread_name_prefix="refine") as pool:
        for _ in range(steps):
            advance(density, classes, blur.kernels, each=pool.map)
    if steps and blur.grain_px:
        smooth(density, half_kernel(blur.grain_px), shown)
    rows = (density.rows(first, last) for first, last in bands(density.shape))
    return math.fsum(float(part.sum(dtype=np.float64)) for part in rows)


def _stopped(gains: Sequence[float], blur: Blur) -> Steps:
    """The steps before the one that gained too little, and some more; none if those only blur."""
    supported = len(gains) - 1
    if supported < blur.steps_least:
        return Steps(0, tuple(gains), "no gain")
    more = blur.grain_px and gains[1] >= STRUCTURE_GAIN_MIN
    taken = supported + (ITERATIONS_MORE if more else 0)
    return Steps(taken, tuple(gains), "likelihood")


def _flat(density: Density, shown: Image, total: float) -> Density:
    """Spread molecules evenly where there is a picture."""
    value = np.float32(total / max(_sum(shown), 1.0))
    for first, last in bands(density.shape):
        density.put(first, value * shown[first:last])
    return density


def _sum(image: Image) -> float:
    height, width = image.shape
    parts = (image[first:last] for first, last in bands((height, width)))
    return math.fsum(float(part.sum(dtype=np.float64)) for part in parts)
