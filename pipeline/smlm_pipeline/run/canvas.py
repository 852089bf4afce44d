"""The canvas that holds the sum of the SR image: memory, or a file where it is too large."""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.errors import OutputError
from smlm_pipeline.run.plan import RunPlan

_MAPPED_BYTES = 1 << 25


class Canvas(AbstractContextManager["Canvas"]):
    """Numbers on the SR grid in memory, 0 at first: sums, which are integers, or a density.

    Parameters
    ----------
    shape : tuple of int
        Height and width, in SR pixels.
    dtype : type
        int64 for sums.
    """

    def __init__(self, shape: tuple[int, int], dtype: type[np.generic] = np.int64) -> None:
        self.shape = shape
        self._sums: NDArray[Any] = np.zeros(shape, dtype)

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def add(self, top: int, left: int, width: int, sums: SparseSums) -> None:
        """Add the sums of an image of this width whose first pixel is at ``top``, ``left``."""
        if width == self.shape[1]:  # as most tiles: no gaps between the rows
            np.add.at(self._sums[top:].reshape(-1), sums.index, sums.weight)
            return
        starts = _row_starts(sums, width)
        skipped = top * self.shape[1] + left + (self.shape[1] - width) * np.arange(len(starts) - 1)
        place = sums.index + np.repeat(skipped, np.diff(starts))
        np.add.at(self._sums.ravel(), place, sums.weight)

    def put(self, first: int, sums: NDArray[Any]) -> None:
        """Replace the rows from ``first`` on by others, shape (rows, width)."""
        self._sums[first : first + len(sums)] = sums

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Rows ``first`` to ``last - 1``: a view, shape (last - first, width)."""
        return self._sums[first:last]

    def beside(self, shape: tuple[int, int], dtype: type[np.generic]) -> Canvas:
        """Open another canvas of this kind in the same place.

        Raises
        ------
        OutputError
            If its folder has no room.
        """
        return Canvas(shape, dtype)


class FileCanvas(Canvas):
    """A canvas in a nameless file, of which only the part in use is in memory.

    Each part is mapped for its use alone: a mapping counts all that it ever touched as memory
    of the process. A canvas that is not entered closes its file when it is collected.

    Parameters
    ----------
    shape : tuple of int
        Height and width, in SR pixels.
    folder : Path
        The file's folder; the system removes the file however this process ends.
    dtype : type
        int64 for sums.

    Raises
    ------
    OutputError
        If the disk has no room for it: writing to a mapping without would end the process.
    """

    def __init__(
        self, shape: tuple[int, int], folder: Path, dtype: type[np.generic] = np.int64
    ) -> None:
        self.shape, self._folder, self._dtype = shape, folder, np.dtype(dtype)
        size_bytes = self._dtype.itemsize * shape[0] * shape[1]
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see __exit__
        except OSError as error:
            raise _no_room(folder, size_bytes, error) from error
        try:
            _reserve(self._file, size_bytes)
        except OSError as error:
            self._file.close()
            raise _no_room(folder, size_bytes, error) from error
        self._close = weakref.finalize(self, self._file.close)

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._close()

    def add(self, top: int, left: int, width: int, sums: SparseSums) -> None:
        """Add the sums of an image; see `Canvas.add`."""
        starts = _row_starts(sums, width)
        rows = max(_MAPPED_BYTES // (self.shape[1] * self._dtype.itemsize), 1)
        for first in range(0, len(starts) - 1, rows):
            last = min(first + rows, len(starts) - 1)
            part = slice(starts[first], starts[last])
            row, column = np.divmod(sums.index[part], width)
            mapped = self._mapped(top + first, top + last, "r+")
            np.add.at(mapped, (row - first, left + column), sums.weight[part])

    def put(self, first: int, sums: NDArray[Any]) -> None:
        """Replace rows; see `Canvas.put`."""
        self._mapped(first, first + len(sums), "r+")[:] = sums

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Rows, as a copy; see `Canvas.rows`."""
        return np.array(self._mapped(first, last, "r"))

    def beside(self, shape: tuple[int, int], dtype: type[np.generic]) -> FileCanvas:
        """Open another file in the same folder; see `Canvas.beside`."""
        return FileCanvas(shape, self._folder, dtype)

    def _mapped(self, first: int, last: int, mode: str) -> NDArray[Any]:
        width = self.shape[1]
        offset_bytes, shape = first * width * self._dtype.itemsize, (last - first, width)
        return np.memmap(self._file, self._dtype, mode, offset_bytes, shape)  # type: ignore[call-overload, no-any-return]


def open_canvas(plan: RunPlan, folder: Path) -> Canvas:
    """Open the canvas of a plan: in memory if the sum fits, else in a file in ``folder``.

    Raises
    ------
    OutputError
        If the folder has no room.
    """
    if plan.canvas_in_memory:
        return Canvas(plan.canvas_shape)
    return FileCanvas(plan.canvas_shape, folder)


def _row_starts(sums: SparseSums, width: int) -> NDArray[np.int64]:
    """Where the sums of each row begin, and those of the last one end, (rows + 1,)."""
    rows = -(-sums.end // width)
    starts: NDArray[np.int64] = np.searchsorted(sums.index, width * np.arange(rows + 1))
    return starts


def _reserve(file: IO[bytes], size_bytes: int) -> None:
    """Fill the file with zeros, each of which has room on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size_bytes)
        return
    block = bytes(1 << 24)
    for start in range(0, size_bytes, len(block)):
        file.write(block[: size_bytes - start])
    file.flush()


def _no_room(folder: Path, size_bytes: int, error: OSError) -> OutputError:
    full = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return OutputError(
        f"the sum of the image does not fit into --memory and takes {size_bytes / 2**30:.1f} GiB "
        f"in {folder}, which failed: {full}; free space, raise --memory or choose another folder "
        "with -o"
    )
