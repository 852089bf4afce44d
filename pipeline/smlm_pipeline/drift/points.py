"""Molecules as drift sees them: frames and places, in the order of time, cut into parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Points:
    """Molecules in ascending order of frames.

    ``frame`` (K,) int64; ``yx_nm`` (2, K) float64, places from the corner of the first pixel.
    """

    frame: NDArray[np.int64]
    yx_nm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, some: NDArray[np.bool_]) -> Points:
        """Those of the molecules that are true, (K,)."""
        return Points(self.frame[some], self.yx_nm[:, some])


@dataclass(frozen=True)
class Parts:
    """Parts of a film that follow one another, each of whole frames.

    ``first_row`` (P + 1,) is the first molecule of each part, and the end; ``centre_frame`` (P,)
    float64 the mean frame of its molecules.
    """

    first_row: NDArray[np.int64]
    centre_frame: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centre_frame)

    def of(self, some: NDArray[np.bool_]) -> Parts:
        """The same parts of those of the molecules that are true, (K,)."""
        before = np.concatenate([[0], np.cumsum(some)])
        return Parts(before[self.first_row], self.centre_frame)

    @property
    def rows(self) -> Iterator[tuple[int, int]]:
        """First and last molecule (excluded) of each part."""
        return itertools.pairwise(self.first_row.tolist())


def parts_of(points: Points, count: int) -> Parts:
    """Cut a film into parts of about as many molecules; a frame is never cut.

    Parameters
    ----------
    points : Points
        At least one molecule.
    count : int
        Most parts: there are fewer where a frame has more molecules than a part should.
    """
    wanted = np.arange(1, count) * len(points) // count
    inner = np.searchsorted(points.frame, points.frame[wanted])
    first_row = np.unique(np.concatenate([[0], inner, [len(points)]]))
    sums = np.add.reduceat(points.frame.astype(np.float64), first_row[:-1])
    return Parts(first_row, sums / np.diff(first_row))


def thinned(blocks: Iterable[Points], count: int, most: int) -> Points:
    """Put blocks together that follow one another; of too many molecules some are left out evenly.

    Parameters
    ----------
    blocks : iterable of Points
        In the order of time.
    count : int
        Molecules of all blocks.
    most : int
        Molecules that are kept at most.
    """
    every, seen = max(count / most, 1.0), 0
    frame: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    places: list[NDArray[np.float64]] = [np.empty((2, 0))]
    for block in blocks:
        rank = np.arange(seen, seen + len(block) + 1)
        kept = np.diff(np.floor(rank / every)) > 0
        seen += len(block)
        frame.append(block.frame[kept])
        places.append(block.yx_nm[:, kept])
    return Points(np.concatenate(frame), np.concatenate(places, axis=1))


def halves_of_sample(points: Points) -> NDArray[np.int64]:
    """The half of the sample (K,), 0 or 1, of each molecule: squares of the field, shared out.

    Both halves have about as many molecules, and none of them in common, so what both of them
    show is drift.
    """
    low_nm = points.yx_nm.min(axis=1, keepdims=True)
    extent_nm = float((points.yx_nm.max(axis=1, keepdims=True) - low_nm).max())
    edge_nm = max(extent_nm / _SQUARES, _SQUARE_LEAST_NM)
    row, column = np.floor((points.yx_nm - low_nm) / edge_nm).astype(np.int64)
    square = row * (_SQUARES + 1) + column
    counts = np.bincount(square)
    half_of_square = np.zeros(len(counts), np.int64)
    sums = [0, 0]
    for each in np.argsort(-counts, kind="stable").tolist():
        half = int(sums[1] < sums[0])
        half_of_square[each], sums[half] = half, sums[half] + int(counts[each])
    return np.asarray(half_of_square[square])


_SQUARES, _SQUARE_LEAST_NM = 12, 400.0
"""Squares along the longer edge of the field, and their least edge: wider than any shift."""
