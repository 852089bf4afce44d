"""Estimate the drift of a film from its molecules.

Segments of the film are correlated first, all pairs of them, which finds large shifts. Short parts
are then aligned to all other molecules, in ever finer steps. Last, the curve is smoothed by as
much as two halves of the sample agree on, except at steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.alignment import count_pairs
from smlm_pipeline.drift.correlation import segment_shifts
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.points import Points, halves_of_sample, parts_of
from smlm_pipeline.drift.smoothing import best_width, error_of_half_nm, smoothed
from smlm_pipeline.drift.steps import with_steps

MOLECULES_LEAST, MOLECULES_MOST = 500, 1_000_000
"""Fewest molecules from which drift is estimated, and most that are used."""

SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST = 600, 4, 20
"""Molecules of a segment, where there are few, and the numbers of segments."""

PART_MOLECULES, PARTS_LEAST, PARTS_MOST = 50, 12, 1000
"""Molecules of a part, where there are few, and the numbers of parts."""

FOUND_ERRORS = 2.0
"""Standard errors above which the drift that two halves of the sample share is corrected."""

STEPS_NM = (30.0, 15.0, 10.0, 8.0)
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
    segments = parts_of(points, _number(count, SEGMENT_MOLECULES, SEGMENTS_LEAST, SEGMENTS_MOST))
    parts = parts_of(points, _number(count, PART_MOLECULES, PARTS_LEAST, PARTS_MOST))
    begun = Drift(segments.centre_frame, segment_shifts(points, segments).yx_nm)
    drift_nm = np.stack([np.interp(parts.centre_frame, begun.frame, axis) for axis in begun.yx_nm])
    half = halves_of_sample(points)
    for step_nm in STEPS_NM:
        known = Drift(parts.centre_frame, drift_nm)
        corrected = Points(points.frame, points.yx_nm - known.at(points.frame))
        pairs = count_pairs(corrected, parts, half, step_nm)
        halves_nm = drift_nm + pairs.shifts_of_halves_nm()
        width, error_nm = best_width(halves_nm), error_of_half_nm(halves_nm) / np.sqrt(2)
        drift_nm = smoothed(drift_nm + pairs.shifts_nm(), width, error_nm)
    drift = with_steps(points, parts, drift_nm, error_nm)
    agreed = _agreement([smoothed(each, width, error_nm) for each in halves_nm])
    return Estimate(
        drift=drift.since(int(points.frame[0])),
        found=agreed.drift_nm2 > FOUND_ERRORS**2 * agreed.error_nm2,
        molecules=count,
        segments=len(segments),
        parts=len(parts),
        rms_nm=float(np.sqrt(np.mean(drift_nm.var(axis=1)))),
        error_nm=float(np.sqrt(agreed.error_nm2)),
        smoothing_parts=width,
        steps=len(drift.frame) - len(parts),
    )


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
