"""What every format's reader offers: planes of a file, a few at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Source(AbstractContextManager["Source"], ABC):
    """A film's file or folder, open; a context manager that closes it.

    Attributes
    ----------
    path : Path
        Where the film lies.
    axes : str
        One letter an axis (T time, C channel, Z depth, P position), ending in YX; axes
        of length one are left out.
    shape : tuple of int
        Their lengths.
    dtype : dtype
        Type of the values.
    pixel_size_nm : float or None
        Edge of a camera pixel in the sample; None if the file does not tell.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixel_size_nm: float | None

    @abstractmethod
    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Parts of some planes, and as little else of the film as the format allows.

        Parameters
        ----------
        planes : range
            Numbers of planes, counted over the axes before YX with the last running
            fastest; they differ along one axis alone.
        y, x : slice
            The region, in pixels, with start and stop inside the plane.

        Returns
        -------
        ndarray, shape (len(planes), height, width), of `dtype`
            Independent of the file.

        Raises
        ------
        StackError or any error of the format's library
            If the file is damaged there or was closed.
        """

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether nothing can be read any more."""


class SourceAtRest(Source):
    """A source whose files are open only while they are read: nothing is left to close."""

    _closed = False

    def __exit__(self, *_: object) -> None:
        """Read no more."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether the ``with`` block was left."""
        return self._closed


def squeezed(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Axes and lengths without those of length one before the last two."""
    kept = [i for i, size in enumerate(shape) if size != 1 or i >= len(shape) - 2]
    return "".join(axes[i] for i in kept), tuple(shape[i] for i in kept)
