"""Estimate the drift of a film from its molecules.

Segments of the film are correlated first, all pairs of them, which finds large shifts. Short parts
are then aligned to all other molecules, in ever finer steps. Last, the curve is smoothed by as
much as two halves of the sample agree on, except at steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.alignment import aligned_nm, close_pairs
from smlm_pipeline.drift.correlation import segment_shifts
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.points import Parts, Points, halves_of_sample, parts_of
from smlm_pipeline.drift.smoothing import best_width, error_of_half_nm, smoothed
from smlm_pipeline.drift.steps import with_steps

MOLECULES_LEAST, MOLECULES_MOST = 1000, 300_000
"""Fewest molecules from which drift is estimated, and most that are used."""

SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST = 600, 6, 12
"""Molecules of a segment, where there are few, and the numbers of segments."""

PART_MOLECULES, PARTS_LEAST, PARTS_MOST = 50, 12, 1000
"""Molecules of a part, where there are few, and the numbers of parts."""

HALF_LEAST = 0.2
"""Least share of the molecules that a half of the sample has: a single spot cannot be halved."""

FOUND_ERRORS = 2.0
"""Standard errors above which the drift that two halves of the sample share is corrected."""

GAIN_ERRORS = 3.0
"""Standard deviations by which the drift of one half has to raise the close pairs of the other."""

STEPS_NM = (30.0, 15.0, 8.0)
"""Steps of the shifts in each round of the alignment."""


@dataclass(frozen=True)
class Estimate:
    """The drift of a film, from its first frame on, and how well it is known.

    ``found`` is false where the two halves of the sample do not agree on any drift: ``drift`` is
    not to be used then. ``rms_nm`` is the size of the drift about its mean, along an axis;
    ``error_nm`` the standard error of ``drift`` about its mean, along an axis, by the difference
    of the halves. ``smoothing_parts`` is the sigma of the smoothing.
    """

    drift: Drift
    found: bool
    molecules: int
    segments: int
    parts: int
    rms_nm: float
    error_nm: float
    smoothing_parts: float
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """The facts, for JSON."""
        return {
            "molecules": self.molecules,
            "segments": self.segments,
            "parts": self.parts,
            "steps": self.steps,
            "smoothing_parts": self.smoothing_parts,
            "rms_nm": round(self.rms_nm, 2),
            "error_nm": round(self.error_nm, 2),
        }


def estimate(points: Points) -> Estimate | None:
    """Estimate drift; None where there are too few molecules or frames.

    Parameters
    ----------
    points : Points
        The molecules of a film, at most ``MOLECULES_MOST``.

    Returns
    -------
    Estimate or None
        The same for the same molecules.
    """
    count = len(points)
    if count < MOLECULES_LEAST or len(np.unique(points.frame)) < 2 * PARTS_LEAST:
        return None
    parts = parts_of(points, _number(count, PART_MOLECULES, PARTS_LEAST, PARTS_MOST))
    half = halves_of_sample(points)
    if not HALF_LEAST < half.mean() < 1 - HALF_LEAST:
        return None
    some = np.ones(count, bool), half == 0, half == 1
    whole, *halves = (_Trace(points.take(one), parts.of(one)) for one in some)
    for step_nm in STEPS_NM:
        for trace in (whole, *halves):
            trace.align(step_nm)
        halves_nm = np.stack([trace.drift_nm for trace in halves])
        width, error_nm = best_width(halves_nm), error_of_half_nm(halves_nm)
        whole.drift_nm = smoothed(whole.drift_nm, width, error_nm / np.sqrt(2))
        for trace in halves:
            trace.drift_nm = smoothed(trace.drift_nm, width, error_nm)
    drift_nm = whole.drift_nm
    drift = with_steps(points, parts, drift_nm, error_nm / np.sqrt(2))
    agreed = _agreement([trace.drift_nm for trace in halves])
    return Estimate(
        drift=drift.since(int(points.frame[0])),
        found=agreed.drift_nm2 > FOUND_ERRORS**2 * agreed.error_nm2 and _foretold(halves),
        molecules=count,
        segments=whole.segments,
        parts=len(parts),
        rms_nm=float(np.sqrt(np.mean(drift_nm.var(axis=1)))),
        error_nm=float(np.sqrt(agreed.error_nm2)),
        smoothing_parts=width,
        steps=len(drift.frame) - len(parts),
    )


class _Trace:
    """The drift of parts by some molecules, ``drift_nm`` (2, P), which each alignment improves.

    It begins with the drift by segments; of fewer and longer ones where most contradict each
    other, and with no drift where these do too. ``segments`` is their number, or 0.
    """

    def __init__(self, points: Points, parts: Parts) -> None:
        self._points, self._parts = points, parts
        self.drift_nm = np.zeros((2, len(parts)))
        self.segments = _number(len(points), SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST)
        while self.segments >= SEGMENTS_LEAST:
            segments = parts_of(points, self.segments)
            found = segment_shifts(points, segments)
            if 2 * found.trusted.sum() >= len(segments):
                knots = parts.centre_frame, segments.centre_frame[found.trusted]
                axes = found.yx_nm[:, found.trusted]
                self.drift_nm = np.stack([np.interp(*knots, axis) for axis in axes])
                return
            self.segments //= 2
        self.segments = 0

    def align(self, step_nm: float) -> None:
        """Align each part to all others."""
        at_rest = self._at_rest(self.drift_nm)
        self.drift_nm = self.drift_nm + aligned_nm(at_rest, self._parts, step_nm)

    def close_pairs(self, drift_nm: NDArray[np.float64]) -> float:
        """The number of close pairs without that drift (2, P)."""
        return close_pairs(self._at_rest(drift_nm), self._parts)

    def _at_rest(self, drift_nm: NDArray[np.float64]) -> Points:
        known = Drift(self._parts.centre_frame, drift_nm)
        frame = self._points.frame
        return Points(frame, self._points.yx_nm - known.at(frame))


def _foretold(halves: Sequence[_Trace]) -> bool:
    """Whether the drift of each half of the sample brings molecules of the other one together.

    Of molecules that are spread at random, corrected and uncorrected places have numbers of close
    pairs that differ by chance alone.
    """
    one, other = halves
    after = one.close_pairs(other.drift_nm) + other.close_pairs(one.drift_nm)
    before = sum(half.close_pairs(0 * half.drift_nm) for half in halves)
    return after - before > GAIN_ERRORS * float(np.sqrt(after + before))


@dataclass(frozen=True)
class _Agreement:
    """Mean square of the drift that both halves show, and of the error of their mean, in nm^2."""

    drift_nm2: float
    error_nm2: float


def _agreement(halves_nm: list[NDArray[np.float64]]) -> _Agreement:
    first, second = (half - half.mean(axis=1, keepdims=True) for half in halves_nm)
    return _Agreement(float(np.mean(first * second)), float(np.mean((first - second) ** 2)) / 4)


def _number(molecules: int, each: int, least: int, most: int) -> int:
    return int(np.clip(molecules // each, least, most))
