"""The interface of all readers of formats: planes of a file, a few at a time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.pixel_size import Doubt

GapsState: TypeAlias = Literal["lacking", "open end", "more", "cut"]
"""What is wrong with a source; see `Gaps`."""


@dataclass(frozen=True)
class Gaps:
    """The planes of a file, where others that belong to it are missing.

    ``present`` (K,) int64 are the indices of the planes that the file has, ascending. ``reason``
    states in a few words why others are missing, as ``the file c/12/0/0 is not there``, and
    ``remedy`` what to do. ``state`` is "lacking" where the shape of the source counts all planes;
    "open end" where an unknown number of planes after the last one is missing too; "more"
    where all planes are there and ``reason`` is a doubt whether all of them are of the film; and
    "cut" where the file was cut off and yet has all planes.
    """

    present: NDArray[np.int64]
    reason: str
    remedy: str
    state: GapsState = "lacking"


class Source(AbstractContextManager["Source"], ABC):
    """A film's file or folder, open; a context manager that closes it.

    Attributes
    ----------
    path : Path
        The film's file or folder.
    axes : str
        One letter for each axis (T time, C channel, Z depth, P position), ending in YX; axes
        of length one are omitted.
    shape : tuple of int
        Their lengths.
    dtype : dtype
        Type of the values.
    pixel_size_nm : float or None
        Edge of a camera pixel in the sample; None if the file does not state it.
    pixel_doubt : Doubt or None
        Why a size that the file states is not taken.
    named : Mapping of str to int
        The place on an axis that the path names, as the file of one position does.
    labels : Mapping of str to tuple of str
        Names of the places on an axis, as those of channels.
    files : frozenset of str
        Names of the files that hold the film, where the format tells all of them.
    frames_apart : int
        Frames at the start that the file keeps as an image of their own.
    notes, warnings : tuple of str
        Remarks for the user on how the film was put together; warnings are shown even if the
        command is quiet.
    acquired : str or None
        When the film was taken, as ISO 8601; None if the file does not state it.
    unwritten_value : float
        The value of a pixel whose bytes in the file are zeros.
    gaps : Gaps or None
        The planes that are there, if others are missing; missing planes are never read.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixel_size_nm: float | None
    pixel_doubt: Doubt | None = None
    named: Mapping[str, int] = MappingProxyType({})
    labels: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    files: frozenset[str] = frozenset()
    frames_apart: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    acquired: str | None = None
    unwritten_value: float = 0
    gaps: Gaps | None = None

    @property
    def decoded_bytes(self) -> int:
        """Most bytes that the file makes a reader hold for a single frame: its page, or chunk."""
        return math.prod(self.shape[-2:]) * self.dtype.itemsize

    def gaps_in(self, y: slice, x: slice) -> Gaps | None:  # noqa: ARG002 - of formats with chunks
        """What is missing of a region of the planes; `gaps` where a plane is whole or missing."""
        return self.gaps

    def select(self, position: int | None) -> None:
        """Take one of several films that differ in size; nothing to do for a file of one film."""

    @abstractmethod
    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read a region of some planes, and as little else of the film as the format allows.

        Parameters
        ----------
        planes : range
            Indices of planes, counted over the axes before YX with the last axis running
            fastest; the planes differ along one axis only. The range may have any step.
        y, x : slice
            The region, in pixels, with start and stop inside the plane.

        Returns
        -------
        ndarray, shape (len(planes), height, width), of `dtype`
            Independent of the file.

        Raises
        ------
        FilmError or any error of the format's library
            If the file is damaged there or closed.
        """

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the source is closed."""


class SourceAtRest(Source):
    """A source whose files are open only during a read, so that none is left to close."""

    _closed = False

    def __exit__(self, *_: object) -> None:
        """Mark the source as closed."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether the ``with`` block was left."""
        return self._closed


def squeezed(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Axes and lengths without those of length one before the last two."""
    kept = [i for i, size in enumerate(shape) if size != 1 or i >= len(shape) - 2]
    return "".join(axes[i] for i in kept), tuple(shape[i] for i in kept)


def steps(planes: range, leading: tuple[int, ...]) -> tuple[slice, ...]:
    """The planes as a slice on each axis before YX; they differ along one axis only."""
    if not leading:
        return ()
    first, second, last = (
        np.unravel_index(planes[place], leading) for place in (0, min(1, len(planes) - 1), -1)
    )
    return tuple(
        slice(int(a), int(c) + 1, max(int(b) - int(a), 1))
        for a, b, c in zip(first, second, last, strict=True)
    )
