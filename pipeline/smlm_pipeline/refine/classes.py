"""Precision classes: the errors of the detections in each, in camera pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, linear_regression


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
        detections differ by up to a tenth, in the last class by up to a quarter
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
