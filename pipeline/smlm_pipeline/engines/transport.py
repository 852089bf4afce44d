"""The one thing that an engine does: a chunk of frames in, its sum out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Request:
    """The tensors of one chunk, as ``contract.py`` defines them.

    ``frames_adu`` (N, H, W) uint16, ``levels_adu`` (N, 2) float32, ``mean_adu``
    (H, W) float32 and ``window`` (5,) int32. ``label`` names the chunk in logs and errors.
    """

    label: str
    frames_adu: NDArray[np.uint16]
    levels_adu: NDArray[np.float32]
    mean_adu: NDArray[np.float32]
    window: NDArray[np.int32]


@dataclass(frozen=True)
class PartialSum:
    """The answer: ``image`` int32, units of 2^-16 emitters, over ``frame_count`` frames."""

    image: NDArray[np.int32]
    frame_count: int


class Transport(Protocol):
    """An engine that sums chunks; it is called from several threads at once."""

    def sum_chunk(self, request: Request) -> PartialSum:
        """The sum of one chunk: a pure function, so it may be asked for again.

        Raises
        ------
        TransientServerError
            If the same request may succeed later.
        ReconError
            If it will not.
        """
        ...
