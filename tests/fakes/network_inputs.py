"""Frames and levels as networks take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.network import byte_pairs

LEVELS_ADU = (100.0, 50.0)
"""Background and scale."""


def frames_and_levels(
    count: int, height_px: int, width_px: int, *, seed: int | None = None
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Frames (N, H, W) whose normalised values are some -2 to 6, and their levels (N, 2)."""
    rng = np.random.default_rng(count if seed is None else seed)
    frames_adu = rng.integers(0, 400, (count, height_px, width_px), np.uint16)
    return frames_adu, np.tile(np.array(LEVELS_ADU, np.float32), (count, 1))


REQUEST = np.array([7, -7], np.int32)
"""The number of a request."""


def tensors(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The tensors of a network's input, by name."""
    return {
        contract.FRAMES.name: byte_pairs(frames_adu),
        contract.LEVELS.name: levels_adu,
        contract.REQUEST.name: REQUEST,
    }
