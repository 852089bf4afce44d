"""Cut tiles out of frames, and the shapes of their images."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ChunkError

Reading = TypeVar("Reading", np.uint16, np.float32)
Pixel = TypeVar("Pixel", bound=np.generic)


def check_map_window(
    window: NDArray[np.int32], map_height: int, map_width: int
) -> tuple[int, int, int, int]:
    """Read the core, in camera pixels, from the window of a map of so many SR pixels.

    Raises
    ------
    ChunkError
        If the zoom is not the map's, or the core is not within the tile.
    """
    fine = contract.MAP_ZOOM
    zoom, *core_px = check_window(window, map_height // fine, map_width // fine)
    if zoom != fine:
        raise ChunkError(
            f"WINDOW asks for zoom {zoom}; expected {fine}, the zoom of the network's map: ask "
            f"for that, or ask {contract.RECONSTRUCTION.name!r}, which draws at any zoom"
        )
    top, left, height, width = core_px
    return top, left, height, width


def check_window(
    window: NDArray[np.int32], tile_height_px: int, tile_width_px: int
) -> tuple[int, int, int, int, int]:
    """Read the zoom and the core from the window of a tile of so many camera pixels.

    Raises
    ------
    ChunkError
        If the zoom is out of range or the core is not within the tile.
    """
    if window.shape != contract.WINDOW.dims:
        raise ChunkError(f"WINDOW has shape {window.shape}; expected {contract.WINDOW.dims}")
    zoom, top, left, height, width = (int(value) for value in window)
    ends = top + height <= tile_height_px and left + width <= tile_width_px
    inside = top >= 0 and left >= 0 and ends
    if not 1 <= zoom <= contract.MAX_ZOOM:
        raise ChunkError(f"WINDOW asks for zoom {zoom}; expected 1 to {contract.MAX_ZOOM}")
    if height < 1 or width < 1 or not inside:
        raise ChunkError(
            f"WINDOW {window.tolist()} (zoom, y, x, height, width) does not lie in a tile of "
            f"{tile_height_px} x {tile_width_px} pixels"
        )
    return zoom, top, left, height, width


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


def padded_px(size_px: int) -> int:
    """The next multiple of ``SIZE_MULTIPLE_PX``, which is what networks take."""
    return -(-size_px // contract.SIZE_MULTIPLE_PX) * contract.SIZE_MULTIPLE_PX


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
