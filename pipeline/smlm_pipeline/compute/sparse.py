"""The sums of a chunk without its zeros, in memory and as they travel.

Of the SR pixels of a chunk a tenth or less is not zero. On the wire an entry takes four bytes:
the step from the entry before and the sum, 16 bits each (``contract.STEP``, ``contract.WEIGHT``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import ChunkError


@dataclass(frozen=True)
class SparseSums:
    """Places ``index`` (K,) int64, ascending, and sums ``weight`` (K,) int64 of SR pixels.

    A place may occur several times; its sums add up.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.int64]

    def dense(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """All SR pixels, zeros included, int64, for an image of this shape."""
        sums = np.zeros(shape, np.int64)
        np.add.at(sums.ravel(), self.index, self.weight)
        return sums

    def parts(self, pixels: int) -> Iterator[SparseSums]:
        """Cut an image into images of ``pixels`` SR pixels that follow one another."""
        for start in range(0, self.end, pixels):
            first, last = np.searchsorted(self.index, (start, start + pixels))
            index = self.index[first:last]
            yield SparseSums(index - start if start else index, self.weight[first:last])

    @property
    def end(self) -> int:
        """The last place and one: the fewest SR pixels of the image."""
        return int(self.index[-1]) + 1 if len(self.index) else 0


def sparse(sums: NDArray[np.int32]) -> SparseSums:
    """Leave out the zeros of an image, int32, of any shape."""
    flat = sums.ravel()
    index = np.flatnonzero(flat != 0)  # of bool, which NumPy searches three times as fast
    return SparseSums(index, flat[index].astype(np.int64))


def decode(step: NDArray[np.uint16], weight: NDArray[np.uint16]) -> SparseSums:
    """Read the tensors STEP and WEIGHT.

    Raises
    ------
    ChunkError
        If they are not two lists of 16-bit numbers of one length.
    """
    if step.shape != weight.shape or step.ndim != 1 or {step.dtype, weight.dtype} != {_UINT16}:
        raise ChunkError(
            f"STEP is {step.dtype} {step.shape} and WEIGHT {weight.dtype} {weight.shape}; expected "
            "two lists of 16-bit numbers of one length"
        )
    return SparseSums(np.cumsum(step, dtype=np.int64), weight.astype(np.int64))


_UINT16 = np.dtype(np.uint16)
