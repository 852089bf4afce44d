"""From the logits of a network to detections, in the ranges of the contract.

A network states these functions as the last nodes of its graph. With OpenVINO they are computed
here: its own, on seven channels, take a third of the network's time, and these a thirtieth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract

SIGMA_MIN_PX = 0.01
"""Smallest uncertainty that a network may claim, for a finite likelihood."""

INTENSITY_MIN = 0.1
"""Smallest intensity that a network may claim, so that a sigma relative to it is positive."""

INTENSITY_TYPICAL = 15.0
"""Intensity above it at a logit of zero, as at the start of a training: molecules have 2 to 100
times the scale, by the width of their spots and the spread of their photons."""

INTENSITY_SPREAD_MIN = 0.01
"""Smallest uncertainty of an intensity, relative to it: ten thousand photons without a background
have it."""

INTENSITY_SPREAD_TYPICAL = 0.5
"""Uncertainty above it at a logit of zero: molecules differ by so much."""

LEAST = (SIGMA_MIN_PX, SIGMA_MIN_PX, INTENSITY_MIN, INTENSITY_SPREAD_MIN)
FACTORS = (1.0, 1.0, INTENSITY_TYPICAL / math.log(2), INTENSITY_SPREAD_TYPICAL / math.log(2))
"""Of sigma y, sigma x, the intensity and its relative sigma: least + factor * softplus(logit)."""


def activate(logits: NDArray[np.float32], detections: NDArray[np.float32]) -> None:
    """Detections of the logits of some frames.

    A sigmoid; ``MAX_OFFSET_PX`` times tanh; then ``LEAST`` + ``FACTORS`` * softplus, and the sigma
    of an intensity is relative to it.

    Parameters
    ----------
    logits : ndarray, shape (N, 7, H, W), float32
        The network's answers before the activation.
    detections : ndarray, shape (N, 7, H, W), float32
        Is filled with the channels of ``contract.DETECTION_CHANNELS``.
    """
    probability, offset_px, positive = detections[:, 0], detections[:, 1:3], detections[:, 3:]
    np.negative(logits[:, 0], out=probability)
    with np.errstate(over="ignore"):  # a probability of 0 is 1 / infinity
        np.exp(probability, out=probability)
    probability += 1
    np.reciprocal(probability, out=probability)
    np.tanh(logits[:, 1:3], out=offset_px)
    offset_px *= np.float32(contract.MAX_OFFSET_PX)
    # softplus(x) = log(1 + exp(-|x|)) + max(x, 0), which never overflows
    np.abs(logits[:, 3:], out=positive)
    np.negative(positive, out=positive)
    np.exp(positive, out=positive)
    np.log1p(positive, out=positive)
    positive += np.maximum(logits[:, 3:], 0)
    positive *= _by_channel(FACTORS)
    positive += _by_channel(LEAST)
    positive[:, 3] *= positive[:, 2]


def _by_channel(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None, None]
