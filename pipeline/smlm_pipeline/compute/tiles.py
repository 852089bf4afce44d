"""Cut tiles out of frames, and the shapes of their images."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.contract import padded_px

Reading = TypeVar("Reading", np.uint16, np.float32)
Pixel = TypeVar("Pixel", bound=np.generic)


def image_shape(zoom: int, height_px: int, width_px: int) -> tuple[int, int]:
    """Return the shape of a core and its margin on the SR grid."""
    margin = 2 * contract.MARGIN_PX
    return (height_px + margin) * zoom, (width_px + margin) * zoom


def cut(
    frames_adu: NDArray[Reading],
    *,
    top: int,
    left: int,
    height: int,
    width: int,
) -> NDArray[Reading]:
    """Cut a region of the frames that may extend beyond their lower and right edges.

    Outside, the last row and column are repeated, so that the light of a
    molecule at the edge does not break off within the field.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16 or float32
        Whole frames.
    top, left, height, width : int
        The region, in camera pixels.

    Returns
    -------
    ndarray, shape (N, height, width), of the same dtype
        A view where the region is inside, else a copy.
    """
    part = frames_adu[:, top : top + height, left : left + width]
    missing = ((0, 0), (0, height - part.shape[1]), (0, width - part.shape[2]))
    if not any(after for _, after in missing):
        return part
    return np.pad(part, missing, mode="edge")


def pad(frames_adu: NDArray[Reading]) -> NDArray[Reading]:
    """Whole frames (N, Y, X) with their last rows and columns repeated up to `padded_px`."""
    _, height, width = frames_adu.shape
    return cut(frames_adu, top=0, left=0, height=padded_px(height), width=padded_px(width))


def without_margin(image: NDArray[Pixel], zoom: int) -> NDArray[Pixel]:
    """The core of an image of `image_shape`, as a view.

    Parameters
    ----------
    image : ndarray, shape ((height + 2) * zoom, (width + 2) * zoom)
        Core and margin, in SR pixels.
    zoom : int
        SR pixels along the edge of a camera pixel.
    """
    margin = contract.MARGIN_PX * zoom
    return image[margin:-margin, margin:-margin]


def emitters(sums: NDArray[np.integer[Any]], zoom: int) -> NDArray[np.float64]:
    """Emitters per SR pixel, shape (zoom Y, zoom X), of a sum that still has its margin.

    Parameters
    ----------
    sums : ndarray, shape ((Y + 2) * zoom, (X + 2) * zoom), integer
        In units of 1 / ``WEIGHT_ONE`` emitters.
    zoom : int
        SR pixels along the edge of a camera pixel.
    """
    image: NDArray[np.float64] = without_margin(sums, zoom) / contract.WEIGHT_ONE
    return image
