"""Fields that wrap around, as those of Fourier transforms do, extended so that none is lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PADDING_PX = 8
"""Rows and columns on each side, seven sigma of a usual spot: what lies at the opposite edge, and
the molecules outside that shine in, are seen in them and not in the field."""


def extended(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames (N, Y, X), with the pixels of their edges repeated ``PADDING_PX`` times."""
    around = (PADDING_PX, PADDING_PX)
    return np.pad(frames, ((0, 0), around, around), mode="edge")


def extended_shape(shape_px: tuple[int, int]) -> tuple[int, int]:
    """Height and width of frames that are extended."""
    height, width = shape_px
    return height + 2 * PADDING_PX, width + 2 * PADDING_PX
