"""The SR image as the camera would see it: blurred by the spot and summed over camera pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.rings import Image

_REACH = 4.5
"""Reach of a spot, in its sigmas: light beyond is less than 10^-5."""

_BAND_PIXELS = 1 << 20
"""SR pixels of a band of rows that is blurred at once."""

_erf = np.frompyfunc(math.erf, 1, 1)


def camera_view(image: Image, zoom: int, sigma_px: float) -> NDArray[np.float64]:
    """Blur an image by a round Gaussian and sum it over camera pixels, exactly at any zoom.

    Each SR pixel is a point at its centre. Light that falls out of the field is lost, as it is for
    a camera.

    Parameters
    ----------
    image : Image, shape (zoom Y, zoom X)
        Read by bands of rows.
    zoom : int
        SR pixels along the edge of a camera pixel.
    sigma_px : float
        Sigma of the Gaussian, in camera pixels.

    Returns
    -------
    ndarray, shape (Y, X), float64
        In units of the image.
    """
    height, width = (edge // zoom for edge in image.shape)
    shares = _shares(zoom, sigma_px)
    rows = max(_BAND_PIXELS // image.shape[1] // zoom, 1) * zoom
    seen = np.zeros((height, width))
    reach = shares.shape[1] // 2
    for first in range(0, height * zoom, rows):
        band = image[first : min(first + rows, height * zoom)].reshape(-1, width, zoom)
        across = _spread(band @ shares.astype(np.float32))
        columns = np.ascontiguousarray(across.T).reshape(width, -1, zoom) @ shares
        top = first // zoom - reach
        for shift in range(shares.shape[1]):
            begin, end = max(top + shift, 0), min(top + shift + columns.shape[1], height)
            if begin < end:
                part = columns[:, begin - top - shift : end - top - shift, shift]
                seen[begin:end] += part.T
    return seen


def _spread(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum the shares (R, X, K) that each camera pixel gives to those about it, over X."""
    _, width, shifts = parts.shape
    reach = shifts // 2
    sums = np.zeros(parts.shape[:2])
    for shift in range(shifts):
        away = shift - reach
        begin, end = max(away, 0), min(width + away, width)
        if begin < end:
            sums[:, begin:end] += parts[:, begin - away : end - away, shift]
    return sums


def _shares(zoom: int, sigma_px: float) -> NDArray[np.float64]:
    """Share of a point's light in the pixels about its own, (zoom, 2 R + 1), for each phase."""
    reach = math.ceil(_REACH * sigma_px)
    centre = (np.arange(zoom)[:, None] + 0.5) / zoom
    borders = np.arange(-reach, reach + 2)[None] - centre
    below = _erf(borders / (math.sqrt(2) * sigma_px)).astype(np.float64) / 2
    return np.diff(below, axis=1)
