"""What a request asks of a summation: zoom, core, precision classes, molecules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import ChunkError

_BORDER_LEAST_PX, _BORDER_MOST_PX = 1e-3, 100.0
"""Borders of classes: their squares are far from the ends of float32."""


@dataclass(frozen=True)
class Window:
    """The contract's WINDOW: zoom, the core of a tile in camera pixels, and what to answer.

    ``classes`` is the number of precision classes, ``molecules`` whether to answer with them too.
    """

    zoom: int
    top_px: int
    left_px: int
    height_px: int
    width_px: int
    classes: int = 1
    molecules: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Classes, height and width of the image: the core with its margin on the SR grid."""
        return (self.classes, *image_shape(self.zoom, self.height_px, self.width_px))

    @property
    def size(self) -> int:
        """SR pixels of the image, over all classes."""
        classes, height, width = self.shape
        return classes * height * width

    def as_tensor(self) -> NDArray[np.int32]:
        """The tensor WINDOW, (7,) int32."""
        core_px = (self.top_px, self.left_px, self.height_px, self.width_px)
        return np.array([self.zoom, *core_px, self.classes, self.molecules], np.int32)


def check_window(window: NDArray[np.int32], tile_height_px: int, tile_width_px: int) -> Window:
    """Read the window of a tile.

    Parameters
    ----------
    window : ndarray, shape (7,), int32
        The tensor WINDOW.
    tile_height_px, tile_width_px : int
        Size of the tile, in camera pixels.

    Raises
    ------
    ChunkError
        If it has another shape, a number is out of the contract's range, or the core is not
        within the tile.
    """
    if window.shape != contract.WINDOW.dims:
        raise ChunkError(f"WINDOW has shape {window.shape}; expected {contract.WINDOW.dims}")
    zoom, top, left, height, width, classes, molecules = (int(value) for value in window)
    asked = Window(zoom, top, left, height, width, classes, bool(molecules))
    _check_range("zoom", asked.zoom, contract.MAX_ZOOM)
    _check_range("precision classes", asked.classes, contract.MAX_CLASSES)
    if molecules not in (0, 1):
        raise ChunkError(f"WINDOW asks for molecules by {molecules}; expected 0 or 1")
    within_y = 0 <= asked.top_px < asked.top_px + asked.height_px <= tile_height_px
    within_x = 0 <= asked.left_px < asked.left_px + asked.width_px <= tile_width_px
    if not (within_y and within_x):
        raise ChunkError(
            f"WINDOW {window.tolist()} (zoom, y, x, height, width, ...) does not lie in a tile of "
            f"{tile_height_px} x {tile_width_px} pixels"
        )
    return asked


def check_image_size(asked: Window) -> None:
    """Check the size of the image of a request, before memory is spent on it.

    Raises
    ------
    ChunkError
        If it has more SR pixels than the contract allows.
    """
    if asked.size > contract.MAX_IMAGE_PIXELS:
        classes, height, width = asked.shape
        raise ChunkError(
            f"WINDOW asks for {classes} x {height} x {width} SR pixels; expected at most "
            f"{contract.MAX_IMAGE_PIXELS}: choose a smaller zoom or smaller tiles"
        )


def check_map_window(window: NDArray[np.int32], map_height: int, map_width: int) -> Window:
    """Read the window of a map of so many SR pixels.

    Raises
    ------
    ChunkError
        As `check_window`; or if the zoom is not the map's, or it asks for what maps do not have.
    """
    fine = contract.MAP_ZOOM
    asked = check_window(window, map_height // fine, map_width // fine)
    if asked.zoom != fine:
        raise ChunkError(
            f"WINDOW asks for zoom {asked.zoom}; expected {fine}, the zoom of the network's map: "
            f"ask for that, or ask {contract.RECONSTRUCTION.name!r}, which draws at any zoom"
        )
    if asked.classes > 1 or asked.molecules:
        raise ChunkError(
            "WINDOW asks a network that makes maps for precision classes or molecules; expected "
            f"neither: ask {contract.RECONSTRUCTION.name!r}"
        )
    return asked


def check_class_borders(class_borders_px: NDArray[np.float32], classes: int) -> None:
    """Check the borders of precision classes.

    Parameters
    ----------
    class_borders_px : ndarray, shape (3,), float32
        The tensor CLASS_BORDERS, of which the first ``classes - 1`` count.
    classes : int
        The number of classes.

    Raises
    ------
    ChunkError
        If it has another shape, or its borders are not ascending within 0.001 to 100 px.
    """
    if class_borders_px.shape != contract.CLASS_BORDERS.dims:
        raise ChunkError(
            f"CLASS_BORDERS has shape {class_borders_px.shape}; expected "
            f"{contract.CLASS_BORDERS.dims}"
        )
    borders = class_borders_px[: classes - 1]
    within = ((borders >= _BORDER_LEAST_PX) & (borders <= _BORDER_MOST_PX)).all()
    if not (within and (np.diff(borders) > 0).all()):
        raise ChunkError(
            f"CLASS_BORDERS are {borders.tolist()} px; expected ascending numbers from "
            f"{_BORDER_LEAST_PX:g} to {_BORDER_MOST_PX:g}"
        )


def class_limits_px2(class_borders_px: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Borders (S - 1,) in the terms that are compared: sigma y ** 2 + sigma x ** 2."""
    borders = class_borders_px[: classes - 1]
    limits: NDArray[np.float32] = np.float32(2) * borders * borders
    return limits


def _check_range(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ChunkError(f"WINDOW asks for {value} as {what}; expected 1 to {most}")
