"""The sums of an answer as an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window


def image(sums: SparseSums, window: Window) -> NDArray[np.int64]:
    """All SR pixels, zeros included: (height, width) of one precision class, else (S, ...)."""
    dense = sums.dense(window.shape)
    return dense[0] if window.classes == 1 else dense


def lit(sums: SparseSums, window: Window) -> dict[tuple[int, ...], int]:
    """The sums of the SR pixels that are not zero, by their places in `image`."""
    dense = image(sums, window)
    return {tuple(place): int(dense[tuple(place)]) for place in np.argwhere(dense).tolist()}


def answer_bytes(sums: SparseSums) -> int:
    """Bytes of STEP and WEIGHT."""
    return sum(tensor.nbytes for tensor in encode(sums))
