"""An image moved onto another one by an affine map, read by rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.registration.affine import Affine
from smlm_pipeline.registration.parts import Image

_PART_PIXELS = 1 << 18
"""Pixels that are computed at once: some forty times as many bytes."""


class Registered:
    """The second image at the places of the first one.

    Each value is interpolated between the four nearest pixels, and scaled by the area that a pixel
    has there, so that the sum of what stays in the field is kept. It is 0 beyond the second image.

    Parameters
    ----------
    image : Image
        Molecules per SR pixel of the second image.
    affine : Affine
        Maps places of the first image to those of the second one, in nm.
    sr_pixel_nm : float
        Edge of an SR pixel of both.
    """

    def __init__(self, image: Image, affine: Affine, sr_pixel_nm: float) -> None:
        self._image, self._affine, self._sr_pixel_nm = image, affine, sr_pixel_nm

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in SR pixels."""
        return self._image.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        first, last, _ = rows.indices(self.shape[0])
        moved = np.zeros((last - first, self.shape[1]), np.float32)
        step = max(_PART_PIXELS // self.shape[1], 1)
        for top in range(first, last, step):
            end = min(top + step, last)
            moved[top - first : end - first] = self._part(top, end)
        return moved

    def _part(self, first: int, last: int) -> NDArray[np.float64]:
        height, width = self.shape[:2]
        rows, columns = np.arange(first, last), np.arange(width)
        y, x = self._there(rows, columns)
        top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
        lowest, highest = max(int(top.min()), 0), min(int(top.max()) + 2, height)
        if lowest >= highest:
            return np.zeros(y.shape)
        source = np.pad(self._image[lowest:highest].astype(np.float64), 1)
        part = np.zeros(y.shape)
        for below in (0, 1):
            for beside in (0, 1):
                row = np.clip(top + below - lowest + 1, 0, len(source) - 1)
                column = np.clip(left + beside + 1, 0, width + 1)
                share_y = y - top if below else 1 - (y - top)
                share_x = x - left if beside else 1 - (x - left)
                part += share_y * share_x * source[row, column]
        return part * abs(self._affine.area)

    def _there(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns (rows, columns) in the second image, of the centres of pixels."""
        places = np.meshgrid(rows + 0.5, columns + 0.5, indexing="ij")
        yx_nm = np.stack([place.ravel() for place in places]) * self._sr_pixel_nm
        y, x = self._affine.at(yx_nm) / self._sr_pixel_nm - 0.5
        return y.reshape(places[0].shape), x.reshape(places[0].shape)
