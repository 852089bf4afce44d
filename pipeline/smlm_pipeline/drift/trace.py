"""The drift of the parts of a film by some of its molecules, found step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.alignment import aligned_nm, close_pairs
from smlm_pipeline.drift.correlation import segment_shifts
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.points import Parts, Points, parts_of

SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST = 600, 6, 12
"""Molecules of a segment, where there are few, and the numbers of segments."""

MARGIN_NM, MARGIN_SHARE = 100.0, 0.04
"""Width of the field's edge whose molecules are not aligned, and the largest, as a share of the
field: its edge does not drift, and what is beyond it is not seen."""


class Trace:
    """The drift of parts by some molecules, ``drift_nm`` (2, P), which each alignment improves.

    It begins with the drift by segments, or with none, whatever brings most molecules together.
    ``segments`` is their number, or 0.

    Parameters
    ----------
    points : Points
        All molecules of a film.
    parts : Parts
        Its parts.
    some : ndarray, shape (K,), bool
        The molecules whose drift is looked for. They are aligned to all molecules: if they were
        aligned to each other alone, the edges of their squares would seem to be at rest.
    """

    def __init__(self, points: Points, parts: Parts, some: NDArray[np.bool_]) -> None:
        self._all, self._parts = points, parts
        self._own = points.take(some)
        self._aligned = some & _inside(points)
        self.drift_nm, self.segments = np.zeros((2, len(parts))), 0
        self.begin(self._starts())

    def begin(self, starts: list[tuple[NDArray[np.float64], int]]) -> None:
        """Begin with one of these drifts (2, P), of so many segments, if it is better."""
        best = self.close_pairs(self.drift_nm)
        for drift_nm, segments in starts:
            found = self.close_pairs(drift_nm)
            if found > best:
                best, self.drift_nm, self.segments = found, drift_nm, segments

    def cut(self, parts: Parts) -> None:
        """Cut the film into other parts, and begin with the drift that is known."""
        known = self._parts.centre_frame
        axes = [np.interp(parts.centre_frame, known, axis) for axis in self.drift_nm]
        self.drift_nm = np.stack(axes)
        self._parts = parts

    def align(self, step_nm: float) -> None:
        """Align each part to all others."""
        at_rest = self._at_rest(self.drift_nm)
        self.drift_nm = self.drift_nm + aligned_nm(at_rest, self._parts, self._aligned, step_nm)

    def close_pairs(self, drift_nm: NDArray[np.float64]) -> float:
        """The number of close pairs of its molecules with all, without that drift (2, P)."""
        return close_pairs(self._at_rest(drift_nm), self._parts, self._aligned)

    def _at_rest(self, drift_nm: NDArray[np.float64]) -> Points:
        known = Drift(self._parts.centre_frame, drift_nm)
        frame = self._all.frame
        return Points(frame, self._all.yx_nm - known.at(frame))

    def _starts(self) -> list[tuple[NDArray[np.float64], int]]:
        """The drift by segments, if most of them are trusted, for each number of segments."""
        starts = []
        count = int(np.clip(len(self._own) // SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST))
        while count >= SEGMENTS_LEAST:
            segments = parts_of(self._own, count)
            found = segment_shifts(self._own, segments)
            if 2 * found.trusted.sum() >= len(segments):
                knots = self._parts.centre_frame, segments.centre_frame[found.trusted]
                axes = found.yx_nm[:, found.trusted]
                starts.append((np.stack([np.interp(*knots, axis) for axis in axes]), count))
            count //= 2
        return starts


def _inside(points: Points) -> NDArray[np.bool_]:
    """The molecules (K,) that are not at the edge of the field."""
    low_nm, high_nm = (edge(points.yx_nm, axis=1, keepdims=True) for edge in (np.min, np.max))
    margin_nm = np.minimum(MARGIN_NM, MARGIN_SHARE * (high_nm - low_nm))
    inside = (points.yx_nm >= low_nm + margin_nm) & (points.yx_nm <= high_nm - margin_nm)
    return np.asarray(inside.all(axis=0))
