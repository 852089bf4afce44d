"""The interface of an engine: a request in, the answer of its chunk out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window

_NO_BORDERS = np.zeros(contract.CLASS_BORDERS.dims, np.float32)


@dataclass(frozen=True)
class Request:
    """One chunk, and what to answer.

    ``frames_adu`` (N, H, W) uint16 and ``levels_adu`` (N, 2) float32; ``class_borders_px`` (3,)
    float32 as ``contract.CLASS_BORDERS``. ``label`` names the chunk in logs and errors. ``light``
    (Y, X) is the sum of the light of the chunk's core, where it was asked for; it is not sent.
    """

    label: str
    frames_adu: NDArray[np.uint16]
    levels_adu: NDArray[np.float32]
    window: Window
    class_borders_px: NDArray[np.float32] = field(default_factory=lambda: _NO_BORDERS)
    light: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ChunkAnswer:
    """The answer to one request.

    ``sums`` are those of the request's window, in units of 2^-16 emitters; ``frame_count`` is the
    number of frames in them. ``molecules`` (M, 8) has a row for each molecule, as
    ``contract.MOLECULES``; it is None where the request did not ask for them. ``levels_adu`` (N, 2)
    float32 are those of the request, in whose scales intensities are, and ``light`` is that of the
    request; `run.dispatch` sets both.
    """

    sums: SparseSums
    frame_count: int
    molecules: NDArray[np.float32] | None = None
    levels_adu: NDArray[np.float32] | None = None
    light: NDArray[np.float64] | None = None


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
