"""What every method is given and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_training.scoring.evaluate import truth_image
from smlm_training.scoring.molecules import Molecules

ZOOM = contract.MAP_ZOOM
"""Fine pixels along a camera pixel: 12.5 nm for pixels of 100 nm."""


@dataclass(frozen=True)
class Found:
    """What a method makes of a block of frames.

    ``image`` (``ZOOM`` Y, ``ZOOM`` X) float64 is its picture, summed over the frames, in
    any unit, since scores scale it. ``molecules`` are in nm with frames counted from
    the block's first, or None of a method that answers with an image alone.
    """

    image: NDArray[np.float64]
    molecules: Molecules | None


class Method(Protocol):
    """A way to reconstruct a film, a block of frames at a time."""

    @property
    def block_frames(self) -> int:
        """Frames of a block; the last one of a film may be shorter."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """All that decides what comes out, beside the film, for JSON."""
        ...

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The picture, and the molecules, of frames (N, Y, X) uint16 in ADU."""
        ...


def nothing_found() -> Molecules:
    """An empty table."""
    return Molecules(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def histogram(
    molecules: Molecules,
    shape_px: tuple[int, int],
    pixel_size_nm: float,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Molecules counted on the fine grid, or added up by ``weights`` (K,).

    Parameters
    ----------
    molecules : Molecules
        In nm; those outside of the field are left out.
    shape_px : tuple of int
        Height and width of the field, in camera pixels.
    pixel_size_nm : float
        Edge of a camera pixel.
    weights : ndarray, shape (K,), float64, optional
        What each molecule adds; by default 1.
    """
    height, width = (ZOOM * size for size in shape_px)
    fine_nm = pixel_size_nm / ZOOM
    if weights is None:
        return truth_image(
            molecules.y_nm, molecules.x_nm, shape=(height, width), sr_pixel_size_nm=fine_nm
        )
    row, column = (np.floor(nm / fine_nm).astype(int) for nm in (molecules.y_nm, molecules.x_nm))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    image = np.zeros((height, width))
    np.add.at(image, (row[inside], column[inside]), weights[inside])
    return image
