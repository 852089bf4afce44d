"""Score an image against the truth, and the wide-field and the blank image beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError

BLURS_PX = (0.0, 1.0, 2.0)
"""Standard deviations, in SR pixels, of the blurs at which images are compared."""

WIDEFIELD = "wide field"
"""Name of the wide-field image among scored images."""

_Image = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Scores of one image; each tuple has one value for each of ``BLURS_PX``.

    ``nmse_percent`` and ``psnr_db`` are of the image scaled to the sum of the truth,
    ``nmse_fitted_percent`` of the image scaled to the smallest error at that blur.
    PSNR is infinite without error. ``sum_ratio`` is the image's sum before scaling
    over the true number of emitters; it has no meaning for a wide-field image.
    """

    nmse_percent: tuple[float, ...]
    nmse_fitted_percent: tuple[float, ...]
    psnr_db: tuple[float, ...]
    sum_ratio: float


def truth_image(
    y_nm: NDArray[np.float64],
    x_nm: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    sr_pixel_size_nm: float,
) -> _Image:
    """Count emitters on the SR grid: index = floor(position / pixel), as in `compute.draw`."""
    image = np.zeros(shape)
    row = np.floor(y_nm / sr_pixel_size_nm).astype(int)
    column = np.floor(x_nm / sr_pixel_size_nm).astype(int)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    np.add.at(image, (row[inside], column[inside]), 1)
    return image


def widefield_image(frames_adu: NDArray[np.uint16], *, background_adu: float, zoom: int) -> _Image:
    """The mean frame without background, each pixel repeated ``zoom`` times along both axes."""
    signal = np.clip(frames_adu.mean(axis=0) - background_adu, 0, None)
    return np.kron(signal, np.ones((zoom, zoom)))


def score(image: NDArray[np.floating[Any]], truth: _Image) -> Score:
    """NMSE and PSNR at each blur, with the image scaled to the sum of the truth and fitted.

    Parameters
    ----------
    image, truth : ndarray, shape (Y, X)
        On the same grid, in any units.

    Raises
    ------
    SettingError
        If the shapes differ, the truth is empty or a pixel of the image is not finite.
    """
    if image.shape != truth.shape or not truth.any():
        raise SettingError(
            f"the image is {image.shape}, the truth {truth.shape} with {truth.sum():.0f} emitters; "
            "expected one shape and some emitters: does the table belong to the film?"
        )
    if not np.isfinite(image).all():
        raise SettingError("a pixel of the image is not a number; expected an image of emitters")
    scaled = equal_sum(image, truth)
    pairs = [(blurred(scaled, blur), blurred(truth, blur)) for blur in BLURS_PX]

    def at_each_blur(measure: Callable[[_Image, _Image], float]) -> tuple[float, ...]:
        return tuple(measure(*pair) for pair in pairs)

    return Score(
        at_each_blur(nmse_percent),
        at_each_blur(nmse_fitted_percent),
        at_each_blur(psnr_db),
        float(image.sum(dtype=np.float64) / truth.sum()),
    )


def equal_sum(image: NDArray[np.floating[Any]], truth: _Image) -> _Image:
    """The image (Y, X), float64, scaled to the sum of the truth; unchanged if its sum is 0."""
    total = float(image.sum(dtype=np.float64))
    return image.astype(np.float64) * (truth.sum() / total if total else 1.0)


def nmse_percent(image: _Image, truth: _Image) -> float:
    """||image - truth||^2 / ||truth||^2, in percent; a blank image has 100.

    The normalisation of Deep-STORM's evaluation (doi 10.1364/OPTICA.5.000458).
    """
    return float(100 * np.sum((image - truth) ** 2) / np.sum(truth**2))


def nmse_fitted_percent(image: _Image, truth: _Image) -> float:
    """The smallest NMSE over all scales of the image, in percent; at most 100.

    For a = <image, truth> / ||image||^2, where the derivative is zero, it is
    1 - <image, truth>^2 / (||image||^2 ||truth||^2). A blank image has 100.
    """
    norm2 = float(np.sum(image**2))
    scale = float(np.sum(image * truth)) / norm2 if norm2 else 0.0
    return nmse_percent(scale * image, truth)


def psnr_db(image: _Image, truth: _Image) -> float:
    """20 log10(MAX / sqrt(MSE)), MAX the largest true value; infinite without error.

    It is high for any image that is mostly empty: compare it with the blank image's.
    """
    error = float(np.sqrt(np.mean((image - truth) ** 2)))
    return float(20 * np.log10(truth.max() / error)) if error else float("inf")


def blurred(image: _Image, sigma_px: float) -> _Image:
    """The image under a Gaussian of ``sigma_px`` SR pixels, with zeros beyond its edges."""
    return scipy.ndimage.gaussian_filter(image, sigma_px, mode="constant") if sigma_px else image
