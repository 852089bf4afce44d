"""Estimate the light of clipped pixels from the pixels around them: a spot covers several."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SIGMA_LEAST_PX, SIGMA_MOST_PX, SIGMA_USUAL_PX = 0.7, 2.5, 1.2
"""Range of the spots' sigma that is believed, and that where it cannot be measured."""

WIDE_SPOT_PX, REACH_PX, WIDE_REACH_PX = 1.4, 2, 3
"""Pixels around a clipped one that tell its light: spots wider than the first need more."""

PATTERNS_AT_ONCE = 512
"""Systems of equations that are solved at once: 10 MB of memory at most."""

LIMIT_OF_ERFC = 25.0
"""Standard deviations beyond which erfc is 0 in double precision."""


def restored(
    frames_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    clipped_adu: int,
    noise_adu: float,
) -> NDArray[np.uint16]:
    """Frames whose clipped pixels have the light that is to be expected.

    Light is taken for a normal process whose covariance is that of spots, as sums of many
    molecules are (kriging; chapter 2 of Rasmussen and Williams, Gaussian Processes for Machine
    Learning, 2006). A clipped pixel has its mean, given the pixels around it that are not clipped
    and that it is above the value at which the camera clips.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Frames of one film, in ADU.
    backgrounds_adu : ndarray, shape (T,), float32
        Their backgrounds, in ADU.
    usable : ndarray, shape (Y, X), bool
        Pixels that show the picture; only those are restored.
    clipped_adu : int
        Value from which on the camera clips, in ADU.
    noise_adu : float
        Standard deviation of the noise of dark pixels, in ADU.

    Returns
    -------
    ndarray, shape (T, Y, X), uint16
        A copy. Light beyond the range of uint16 is lost.
    """
    clipped = (frames_adu >= clipped_adu) & usable
    sigma_px, noise_adu = _spots(frames_adu, backgrounds_adu, clipped, noise_adu, clipped_adu)
    around_px = _around(REACH_PX if sigma_px < WIDE_SPOT_PX else WIDE_REACH_PX)
    frame, y, x = np.nonzero(clipped)
    known, light_adu = _neighbours(frames_adu, clipped | ~usable, (frame, y, x), around_px)
    light_adu -= backgrounds_adu[frame, None]
    height_adu = np.maximum(clipped_adu - backgrounds_adu[frame].astype(np.float64), 1)
    noise_share = noise_adu / float(height_adu.mean())
    patterns, which = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)
    masks = np.unpackbits(patterns, axis=1, count=len(around_px)).astype(bool)
    weights, spreads = _kriging(masks, around_px, sigma_px, noise_share)
    which = which.reshape(-1)
    expected_adu = np.einsum("pn,pn->p", weights[which], np.where(known, light_adu, 0))
    spread_adu = spreads[which] * height_adu
    above = (height_adu - expected_adu) / spread_adu
    expected_adu += spread_adu * _inverse_mills(above)
    result = frames_adu.copy()
    restored_adu = np.maximum(backgrounds_adu[frame] + expected_adu, clipped_adu)
    result[frame, y, x] = np.rint(np.minimum(restored_adu, 65535))
    return result


def _spots(
    frames_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    clipped: NDArray[np.bool_],
    noise_adu: float,
    clipped_adu: int,
) -> tuple[float, float]:
    """Sigma of the spots in pixels, and the noise of a pixel that is about to clip, in ADU.

    Both follow from how far fluctuations reach: a Gaussian spot's covariance falls by
    exp(-d^2 / 4 sigma^2), and what a pixel fluctuates beyond that is noise, which grows with light.
    """
    light = frames_adu - backgrounds_adu[:, None, None]
    mean_adu = float(light.mean())
    light -= light.mean(axis=0)
    light[clipped] = 0
    one, two = (
        _mean_product(light[:, :, :-lag], light[:, :, lag:]) / 2
        + _mean_product(light[:, :-lag], light[:, lag:]) / 2
        for lag in (1, 2)
    )
    sigma_px = SIGMA_USUAL_PX
    if 0 < two < one:
        sigma_px = float(
            np.clip(math.sqrt(0.75 / math.log(one / two)), SIGMA_LEAST_PX, SIGMA_MOST_PX)
        )
    excess = _mean_product(light, light) - one * math.exp(0.25 / sigma_px**2) - noise_adu**2
    height_adu = clipped_adu - float(backgrounds_adu.mean())
    grown = max(excess, 0.0) * height_adu / max(mean_adu, 1.0)
    return sigma_px, math.sqrt(noise_adu**2 + grown)


def _mean_product(here: NDArray[np.float32], there: NDArray[np.float32]) -> float:
    return float(np.vdot(here, there)) / max(here.size, 1)


def _around(reach_px: int) -> NDArray[np.intp]:
    """Places (N, 2) of the pixels around one, as y and x."""
    steps = np.arange(-reach_px, reach_px + 1)
    places = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    around: NDArray[np.intp] = places[places.any(axis=1)]
    return around


def _neighbours(
    frames_adu: NDArray[np.uint16],
    unknown: NDArray[np.bool_],
    places: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    around_px: NDArray[np.intp],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the pixels around some (P, N) are known, and their values in ADU."""
    frame, y, x = (each[:, None] for each in places)
    y, x = y + around_px[:, 0], x + around_px[:, 1]
    height_px, width_px = frames_adu.shape[1:]
    inside = (y >= 0) & (y < height_px) & (x >= 0) & (x < width_px)
    y, x = np.clip(y, 0, height_px - 1), np.clip(x, 0, width_px - 1)
    return inside & ~unknown[frame, y, x], frames_adu[frame, y, x].astype(np.float64)


def _kriging(
    patterns: NDArray[np.bool_], around_px: NDArray[np.intp], sigma_px: float, noise_share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (Q, N) of known neighbours, and the standard deviation (Q,) of what they foretell.

    Both are in units of the light from which on the camera clips, which is also taken for the
    standard deviation of all light: bright light is tied to its neighbours, not to a mean.
    """
    distances2 = np.square(around_px[:, None] - around_px).sum(axis=2)
    among = np.exp(-distances2 / (4 * sigma_px**2))
    to_own = np.exp(-np.square(around_px).sum(axis=1) / (4 * sigma_px**2))
    weights = np.empty(patterns.shape)
    diagonal = np.arange(len(around_px))
    for first in range(0, len(patterns), PATTERNS_AT_ONCE):
        known = patterns[first : first + PATTERNS_AT_ONCE]
        systems = among * (known[:, :, None] & known[:, None, :])
        systems[:, diagonal, diagonal] = 1 + noise_share**2
        solved = np.linalg.solve(systems, (to_own * known)[:, :, None])
        weights[first : first + len(known)] = solved[:, :, 0]
    unexplained = 1 - np.einsum("qn,n->q", weights, to_own)
    return weights, np.sqrt(np.maximum(unexplained, 0) + noise_share**2 + 1e-12)


def _inverse_mills(above: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of a standard normal variable that exceeds these values."""
    near = np.minimum(above, LIMIT_OF_ERFC)
    tail = np.array([math.erfc(value / math.sqrt(2)) for value in near.tolist()])
    density = np.exp(-np.square(near) / 2) * math.sqrt(2 / math.pi)
    return np.where(above > LIMIT_OF_ERFC, above, density / tail)
