"""Refine the sum of a film, as far as one half of the film foretells the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, linear_regression
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.refine.bands import Density, Image, advance, bands
from smlm_pipeline.refine.gaussian import half_kernel

GAIN_MIN = 0.005
"""Least gain of the held-out likelihood, in nats a molecule, for which another step is taken."""

ITERATIONS_MOST = 50
"""Most steps of all."""

ITERATIONS_LEAST = 2
"""Fewest steps of a refined image: after the first one it is the plain image, blurred."""

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
    user gave the number, "likelihood" where the next step would not gain ``GAIN_MIN``, "limit"
    after ``ITERATIONS_MOST``, and where the plain image is kept "few molecules", "no gain", or
    "too large" for the number to be looked for.
    """

    taken: int
    gains: tuple[float, ...]
    stop: Stop


@dataclass(frozen=True)
class Blur:
    """The errors of the detections of each precision class, in SR pixels, as filters."""

    kernels: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, sigmas_px: Sequence[float]) -> Blur:
        """Gaussians of these standard deviations, in SR pixels."""
        return cls(tuple(half_kernel(sigma_px) for sigma_px in sigmas_px))


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


def choose_steps(
    halves: Halves,
    shown: Image,
    blur: Blur,
    open_density: Callable[[], Density],
    asked: int | None,
    begin_step: Callable[[int], None],
) -> Steps:
    """Find out how many steps the film supports.

    Each half of the film is refined alone, and after each step the detections of the other half
    are foretold.

    Parameters
    ----------
    halves : sequence of sequence of Image
        Detections per SR pixel.
    shown : Image
        1 where molecules may be, 0 where there is no picture.
    blur : Blur
        The errors of each class.
    open_density : callable
        Opens a density of the images' shape.
    asked : int, optional
        The number that the user asks for; as many are tried then.
    begin_step : callable
        Hears the number of each step that is tried, from 1.
    """
    sums = [sum(_sum(image) for image in half) for half in halves]
    if min(sums) <= 0 or (asked is None and sum(sums) < MOLECULES_LEAST):
        stop: Stop = "few molecules" if asked is None else "as asked"
        return Steps(asked or 0, (), stop)
    densities = [_flat(open_density(), shown, total) for total in sums]

    def advanced(own: int) -> float:
        """Take a step with one half; the likelihood of the other half before it, in nats."""
        density, held_out = densities[own], halves[1 - own]
        return advance(density, halves[own], blur.kernels, held_out=held_out, molecules=sums[own])

    gains: list[float] = []
    with ThreadPoolExecutor(2, thread_name_prefix="refine") as pool:
        before = sum(pool.map(advanced, (0, 1))) / sum(sums)
        for number in range(1, (asked or ITERATIONS_MOST) + 1):
            begin_step(number)
            now = sum(pool.map(advanced, (0, 1))) / sum(sums)
            gains.append(now - before)
            before = now
            if asked is None and gains[-1] < GAIN_MIN:
                return _stopped(gains)
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
        The errors of each class.
    density : Density
        Becomes the density of molecules, per SR pixel.
    steps : int
        How many to take.

    Returns
    -------
    float
        The sum of the density: that of the detections, but for rounding to float32.
    """
    _flat(density, shown, sum(_sum(image) for image in classes))
    for _ in range(steps):
        advance(density, classes, blur.kernels)
    rows = (density.rows(first, last) for first, last in bands(density.shape))
    return math.fsum(float(part.sum(dtype=np.float64)) for part in rows)


def _stopped(gains: Sequence[float]) -> Steps:
    """The steps before the one that gained too little; none if those only blur."""
    taken = len(gains) - 1
    if taken < ITERATIONS_LEAST:
        return Steps(0, tuple(gains), "no gain")
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
