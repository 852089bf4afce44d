"""The interface of an engine: a request in, the answer of its chunk out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Request:
    """The tensors of one chunk, as ``contract.py`` defines them.

    ``frames_adu`` (N, H, W) uint16, ``levels_adu`` (N, 2) float32 and ``window`` (5,) int32.
    ``label`` names the chunk in logs and errors.
    """

    label: str
    frames_adu: NDArray[np.uint16]
    levels_adu: NDArray[np.float32]
    window: NDArray[np.int32]


@dataclass(frozen=True)
class ChunkAnswer:
    """The answer to one request.

    ``image`` (Y, X) int32 is the chunk's sum in units of 2^-16 emitters, ``frame_count`` the
    number of frames in it. ``molecules`` has a row for each molecule that was found; it is
    None where the engine returns none.
    """

    image: NDArray[np.int32]
    frame_count: int
    molecules: NDArray[np.float32] | None = None


class Transport(Protocol):
    """An engine that sums chunks; it is called from several threads at once."""

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Sum one chunk: a pure function, so the same request may be sent again.

        Raises
        ------
        TransientServerError
            If the same request may succeed later.
        ReconError
            If it will not.
        """
        ...
