"""How close an image is to the truth, always beside the wide-field and the blank image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from smlm_pipeline.errors import SettingError

BLURS_PX = (0.0, 1.0, 2.0)
"""Standard deviations, in fine pixels, at which both images are compared."""


@dataclass(frozen=True)
class Score:
    """One image against the truth; NMSE in percent and PSNR in dB, for each of ``BLURS_PX``.

    ``sum_ratio`` is the image's sum before scaling over the true number of
    emitters; it has no meaning for a wide-field image.
    """

    nmse_percent: tuple[float, ...]
    psnr_db: tuple[float, ...]
    sum_ratio: float


def truth_image(
    y_nm: NDArray[np.float64],
    x_nm: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    sr_pixel_size_nm: float,
) -> NDArray[np.float64]:
    """Count emitters on the fine grid: index = floor(position / pixel), as ``kernels.draw``."""
    image = np.zeros(shape)
    row = np.floor(y_nm / sr_pixel_size_nm).astype(int)
    column = np.floor(x_nm / sr_pixel_size_nm).astype(int)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    np.add.at(image, (row[inside], column[inside]), 1)
    return image


def widefield_image(
    frames_adu: NDArray[np.uint16], *, background_adu: float, zoom: int
) -> NDArray[np.float64]:
    """What a camera alone shows: the mean frame without background, each pixel ``zoom`` times."""
    signal = np.clip(frames_adu.mean(axis=0) - background_adu, 0, None)
    return np.kron(signal, np.ones((zoom, zoom)))


def score(image: NDArray[np.floating[Any]], truth: NDArray[np.float64]) -> Score:
    """NMSE and PSNR with the image scaled to the sum of the truth.

    Parameters
    ----------
    image, truth : ndarray, shape (Y, X)
        On one grid, in any units.

    Raises
    ------
    SettingError
        If the shapes differ or the truth is empty.
    """
    if image.shape != truth.shape or not truth.any():
        raise SettingError(
            f"the image is {image.shape}, the truth {truth.shape} with {truth.sum():.0f} emitters; "
            "expected one shape and some emitters: does the table belong to the film?"
        )
    total = float(image.sum())
    scaled = image * (truth.sum() / total) if total else image.astype(np.float64)
    pairs = [(_blur(scaled, blur), _blur(truth, blur)) for blur in BLURS_PX]
    return Score(
        tuple(nmse_percent(*pair) for pair in pairs),
        tuple(psnr_db(*pair) for pair in pairs),
        total / float(truth.sum()),
    )


def nmse_percent(image: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """||image - truth||^2 / ||truth||^2, in percent; a blank image has 100."""
    return float(100 * np.sum((image - truth) ** 2) / np.sum(truth**2))


def psnr_db(image: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """20 log10(largest true value / root mean square error); infinite without error."""
    error = float(np.sqrt(np.mean((image - truth) ** 2)))
    return float(20 * np.log10(truth.max() / error)) if error else float("inf")


def _blur(image: NDArray[np.float64], sigma_px: float) -> NDArray[np.float64]:
    return gaussian_filter(image, sigma_px, mode="constant") if sigma_px else image
