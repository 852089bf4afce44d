"""Gaussian filters along rows and columns, whose result does not depend on how an image is cut."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TRUNCATED_AT = 4.0
"""Radius of a filter, in its standard deviations: beyond it are less than 0.01 % of a molecule."""


def half_kernel(sigma_px: float) -> NDArray[np.float32]:
    """Return the weights of a Gaussian at distances 0 to its radius, (r + 1,) float32.

    Each weight is the Gaussian's share of an SR pixel; all of them, both sides counted, sum to 1.

    Parameters
    ----------
    sigma_px : float
        Standard deviation, in SR pixels.
    """
    radius = max(math.ceil(TRUNCATED_AT * sigma_px), 1)
    edges_px = np.arange(radius + 2) - 0.5
    below = np.array([math.erf(edge / (math.sqrt(2) * sigma_px)) for edge in edges_px])
    shares = np.diff(below)
    kernel: NDArray[np.float32] = (shares / (2 * shares.sum() - shares[0])).astype(np.float32)
    return kernel


def mirrored(first: int, last: int, count: int) -> NDArray[np.intp]:
    """Return the rows ``first`` to ``last - 1`` of an image that is continued by its mirror image.

    A filter that continues the image like this is symmetric as a matrix, and keeps the sum.

    Parameters
    ----------
    first, last : int
        A range that may reach beyond the image, on either side and by any length.
    count : int
        Rows of the image.
    """
    row = np.arange(first, last) % (2 * count)
    return np.minimum(row, 2 * count - 1 - row)


def filtered_rows(image: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter down the columns, without the r rows at both ends that lack neighbours.

    Parameters
    ----------
    image : ndarray, shape (rows + 2 r, X), float32
        With r more rows at both ends.
    kernel : ndarray, shape (r + 1,), float32
        Of `half_kernel`.

    Returns
    -------
    ndarray, shape (rows, X), float32
    """
    radius = len(kernel) - 1
    rows = len(image) - 2 * radius
    result: NDArray[np.float32] = image[radius : radius + rows] * kernel[0]
    pair = np.empty_like(result)
    for distance in range(1, radius + 1):
        before, after = radius - distance, radius + distance
        np.add(image[before : before + rows], image[after : after + rows], out=pair)
        pair *= kernel[distance]
        result += pair
    return result


def filtered_columns(
    image: NDArray[np.float32], kernel: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Filter along the rows of an image (rows, X) float32, which its mirror images continue."""
    radius, width = len(kernel) - 1, image.shape[1]
    wide = image[:, mirrored(-radius, width + radius, width)]
    result: NDArray[np.float32] = image * kernel[0]
    pair = np.empty_like(result)
    for distance in range(1, radius + 1):
        before, after = radius - distance, radius + distance
        np.add(wide[:, before : before + width], wide[:, after : after + width], out=pair)
        pair *= kernel[distance]
        result += pair
    return result
