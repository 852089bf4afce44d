"""What every image has to beat: nothing at all, and what the camera alone shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import ZOOM, Found

_BLOCK_FRAMES = 64


class Blank:
    """An empty image: x(i) = 0. Its NMSE is 100 % by definition; it has no parameters."""

    def __init__(self, facts: FilmFacts) -> None:
        self._shape = tuple(ZOOM * size for size in facts.shape_px)
        self.block_frames = _BLOCK_FRAMES
        self.parameters: dict[str, Any] = {}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:  # noqa: ARG002
        """Zeros, whatever the frames (N, Y, X) are."""
        return Found(np.zeros(self._shape), None)


class Widefield:
    """The sum of the frames above the background, each camera pixel repeated ``ZOOM`` times.

    x = sum over frames of (y - b), b the film's background level (``kernels.film_levels``);
    what is below zero in the end is set to zero by whoever shows it. No parameters.
    """

    def __init__(self, facts: FilmFacts) -> None:
        self._background_adu = float(facts.levels_adu[0])
        self.block_frames = _BLOCK_FRAMES
        self.parameters: dict[str, Any] = {"background_adu": self._background_adu}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> Found:
        """The block's sum (N, Y, X) -> (``ZOOM`` Y, ``ZOOM`` X)."""
        summed = frames_adu.sum(axis=0, dtype=np.float64) - len(frames_adu) * self._background_adu
        return Found(np.kron(summed, np.ones((ZOOM, ZOOM))), None)
