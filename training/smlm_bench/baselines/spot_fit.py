"""Maximum-likelihood fit of an integrated Gaussian to many small windows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, maximum_filter
from scipy.special import ndtr

Values = NDArray[np.float64]


_ROUNDS = 100


_SETTLED_PX = 1e-4


_ROUNDING = 1e-12
"""Of a likelihood, by which it may be less than before."""


_STEP_MAX_PX = 0.5


_DARK = 0.01
"""Photons of background below which it is held where it would become negative."""


_MEAN_MIN = 1e-3
"""Least expected photons of a pixel, so that the likelihood stays finite."""


@dataclass(frozen=True)
class Spots:
    """Fits of K windows: position from the window's centre, photons, background, width.

    ``settled`` marks those that have converged. Each (K,).
    """

    y_px: Values
    x_px: Values
    photons: Values
    background_photons: Values
    sigma_px: Values
    settled: NDArray[np.bool_]


def fit_spots(windows: Values, sigma_px: float) -> Spots:
    """Fit N E_y E_x + b to each window by Fisher scoring.

    E is the Gaussian's share of a pixel; with mu the model and D the data, a round
    solves F step = g for g = sum (D / mu - 1) dmu and the Fisher information
    F = sum dmu dmu^T / mu (Smith et al., doi 10.1038/nmeth.1449). Poisson noise times a
    constant excess has its maximum at the same place. Steps are cut to half a pixel,
    and halved photons or widths are the least that one round allows. A step after which the
    likelihood is less is taken back and tried again half as long: on spots that overlap,
    whole steps can go to and fro for ever.

    Parameters
    ----------
    windows : ndarray, shape (K, P, P), float64
        Photons, P odd.
    sigma_px : float
        Width to begin with.
    """
    count, size, _ = windows.shape
    rim = np.ones((size, size), bool)
    rim[1:-1, 1:-1] = False
    background = np.maximum(np.median(windows[:, rim], axis=1), _MEAN_MIN)
    photons = np.maximum((windows - background[:, None, None]).sum(axis=(1, 2)), 10.0)
    start = np.stack(
        [np.zeros(count), np.zeros(count), photons, background, np.full(count, sigma_px)]
    )
    y, x, photons, background, sigma, settled = _climbed(windows, start)
    return Spots(y, x, photons, background, sigma, settled > 0)


def _climbed(windows: Values, start: Values) -> Values:
    """Parameters (5, K) of the greatest likelihood that was found, and 1 where it is a peak."""
    count = len(windows)
    trial, best, step = start.copy(), start.copy(), np.zeros_like(start)
    highest, length, settled = np.full(count, -np.inf), np.ones(count), np.zeros(count, bool)
    for _ in range(_ROUNDS):
        (left,) = np.nonzero(~settled)
        if not len(left):
            break
        mean, slopes = _model(trial[:, left], windows.shape[-1])
        likelihood = (windows[left] * np.log(mean) - mean).sum(axis=(1, 2))
        higher = likelihood >= highest[left] - _ROUNDING * np.abs(likelihood)
        taken = left[higher]
        best[:, taken], highest[taken] = trial[:, taken], likelihood[higher]
        step[:, taken] = _step(windows[taken], mean[higher], slopes[:, higher], best[3, taken])
        length[left] = np.where(higher, np.minimum(2 * length[left], 1), length[left] / 2)
        settled[left] = np.abs(step[:, left])[[0, 1, 4]].max(axis=0) < _SETTLED_PX
        trial[:, left] = _moved(best[:, left], step[:, left] * length[left])
    return np.vstack([best, settled])


def _step(windows: Values, mean: Values, slopes: Values, background: Values) -> Values:
    """One round of Fisher scoring, (5, K); a background that would leave no light is held."""
    gradient = np.einsum("kij,pkij->kp", windows / mean - 1, slopes)
    information = np.einsum("pkij,qkij->kpq", slopes / mean, slopes)
    diagonal = np.einsum("kpp->kp", information)
    diagonal *= 1 + 1e-6  # keeps what is flat in one direction solvable
    diagonal += 1e-12
    step: Values = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
    held = (background < _DARK) & (background + step[:, 3] < background / 2)
    information[held, 3, :] = information[held, :, 3] = gradient[held, 3] = 0
    information[held, 3, 3] = 1
    step[held] = np.linalg.solve(information[held], gradient[held][:, :, None])[:, :, 0]
    return step.T


def _moved(fit: Values, step: Values) -> Values:
    """The step taken, as far as one round may go."""
    y, x, photons, background, sigma = fit
    dy, dx, more, brighter, wider = step
    return np.stack(
        [
            y + np.clip(dy, -_STEP_MAX_PX, _STEP_MAX_PX),
            x + np.clip(dx, -_STEP_MAX_PX, _STEP_MAX_PX),
            np.clip(photons + more, photons / 2, 2 * photons),
            np.maximum(background + brighter, background / 2),
            np.clip(sigma + wider, sigma / 1.3, 1.3 * sigma),
        ]
    )


def _model(fit: Values, size: int) -> tuple[Values, Values]:
    """Expected photons (K, P, P) and their derivatives by the five parameters (5, K, P, P)."""
    y, x, photons, background, sigma = fit
    share_y, by_y, wider_y = _profile(y, sigma, size)
    share_x, by_x, wider_x = _profile(x, sigma, size)
    n = photons[:, None, None]
    spot = _outer(share_y, share_x)
    slopes = [
        n * _outer(by_y, share_x),
        n * _outer(share_y, by_x),
        spot,
        np.ones_like(spot),
        n * (_outer(wider_y, share_x) + _outer(share_y, wider_x)),
    ]
    mean = np.maximum(n * spot + background[:, None, None], _MEAN_MIN)
    return mean, np.stack(slopes)


def _profile(place: Values, sigma: Values, size: int) -> tuple[Values, Values, Values]:
    """Share of the light in each pixel along an axis, and its derivatives by place and width."""
    edges = np.arange(size + 1) - size / 2
    z = (edges - place[:, None]) / sigma[:, None]
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / sigma[:, None]
    share = np.diff(ndtr(z), axis=1)
    return share, -np.diff(density, axis=1), -np.diff(z * density, axis=1)


def _outer(along_y: Values, along_x: Values) -> Values:
    return along_y[:, :, None] * along_x[:, None, :]


_SPLINE = np.array([1, 4, 6, 4, 1]) / 16
"""Third-order B-spline, the smoothing of an a trous wavelet transform."""


def detect_spots(
    photons: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Frame, row and column of local maxima of the second wavelet plane.

    With V1 and V2 the frame smoothed once, and again with gaps in the spline, the
    planes are F1 = y - V1, mostly noise, and F2 = V1 - V2, where spots show. A pixel of
    F2 that is the largest of its 3 x 3 and exceeds ``threshold`` standard deviations of
    the frame's F1 is a spot (Izeddin et al., doi 10.1364/OE.20.002081).

    Parameters
    ----------
    photons : ndarray, shape (N, Y, X), float64
        Frames.
    threshold : float
        In standard deviations of F1.
    """
    smooth = _smoothed(photons, _SPLINE)
    with_gaps = np.zeros(2 * len(_SPLINE) - 1)
    with_gaps[::2] = _SPLINE
    plane = smooth - _smoothed(smooth, with_gaps)
    noise = (photons - smooth).std(axis=(1, 2))[:, None, None]
    highest = maximum_filter(plane, (1, 3, 3), mode="nearest")
    frame, row, column = np.nonzero((plane == highest) & (plane > threshold * noise))
    return frame, row, column


def _smoothed(frames: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    along_y = convolve1d(frames, kernel, axis=1, mode="nearest")
    smoothed: NDArray[np.float64] = convolve1d(along_y, kernel, axis=2, mode="nearest")
    return smoothed
