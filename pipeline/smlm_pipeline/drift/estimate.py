"""Estimate the drift of a film from its molecules.

Segments of the film are correlated first, all pairs of them, which finds large shifts. Short parts
are then aligned to all other molecules, in ever finer steps, and the curve is smoothed by as much
as two halves of the sample agree on, except at steps. Parts that are too long are cut in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.error import Curves
from smlm_pipeline.drift.points import Points, halves_of_sample, parts_of
from smlm_pipeline.drift.smoothing import best_width, error_of_half_nm, smoothed
from smlm_pipeline.drift.steps import with_steps
from smlm_pipeline.drift.trace import Trace

MOLECULES_LEAST, MOLECULES_MOST = 1000, 300_000
"""Fewest molecules from which drift is estimated, and most that are used."""

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

ROUNDS_MOST, SETTLED_NM = 8, 1.0
"""Most rounds of the first step, and the change from which there is no other: where lines are
nearly parallel, each round finds a part of the drift along them."""

FINER_STEPS_NM = (15.0, 8.0)
"""Those of parts that were cut in two, and once more."""

WIDTH_OF_LONG = 1.5
"""Width of the smoothing up to which parts are too long for the drift, and are cut in two."""


@dataclass(frozen=True)
class Estimate:
    """The drift of a film, from its first frame on, and how well it is known.

    ``found`` is false where the two halves of the sample do not agree on any drift: ``drift`` is
    not to be used then. ``rms_nm`` is the size of the drift about its mean, along an axis;
    ``error_nm`` the standard error of ``drift`` about its mean, along an axis, by `Curves` and the
    times of steps. ``smoothing_parts`` is the sigma of the smoothing.
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
    half = halves_of_sample(points)
    if not HALF_LEAST < half.mean() < 1 - HALF_LEAST:
        return None
    traces = Traces(points, half, _number(count, PART_MOLECULES, PARTS_LEAST, PARTS_MOST))
    for steps_nm in STEPS_NM, FINER_STEPS_NM, FINER_STEPS_NM:
        if steps_nm is FINER_STEPS_NM and not traces.cut():
            break
        for step_nm in steps_nm:
            for _ in range(ROUNDS_MOST if step_nm == STEPS_NM[0] else 1):
                before_nm = traces.whole.drift_nm
                traces.align(step_nm)
                if float((traces.whole.drift_nm - before_nm).std()) < SETTLED_NM:
                    break
    parts, curves = traces.parts, traces.curves
    stepped = with_steps(points, parts, curves.whole_nm, traces.error_nm)
    noise_nm2 = curves.noise_nm2()
    return Estimate(
        drift=stepped.drift.since(int(points.frame[0])),
        found=curves.shared_nm2() > FOUND_ERRORS**2 * noise_nm2 and _foretold(traces.halves),
        molecules=count,
        segments=traces.whole.segments,
        parts=len(parts),
        rms_nm=float(np.sqrt(np.mean(curves.whole_nm.var(axis=1)))),
        error_nm=float(np.sqrt(curves.error_nm2(stepped.at_step) + stepped.misplaced_nm2)),
        smoothing_parts=traces.width,
        steps=int(stepped.at_step.sum()),
    )


class Traces:
    """The drift by the whole sample and by each half of it, found alike.

    Parameters
    ----------
    points : Points
        The molecules of a film.
    half : ndarray, shape (K,), int64
        The half of the sample of each.
    count : int
        Parts of the film.
    """

    def __init__(self, points: Points, half: NDArray[np.int64], count: int) -> None:
        self._points, self.parts = points, parts_of(points, count)
        some = np.ones(len(points), bool), half == 0, half == 1
        self.whole, *self.halves = (Trace(points, self.parts, one) for one in some)
        both_nm = np.mean([trace.drift_nm for trace in self.halves], axis=0)
        self.whole.begin([(both_nm, self.halves[0].segments)])
        self.width, self.error_nm, self.curves = 0.0, 0.0, self._curves(self._halves_nm())

    def align(self, step_nm: float) -> None:
        """Align all parts, and smooth their drift; ``error_nm`` is that of a part of the whole."""
        for trace in (self.whole, *self.halves):
            trace.align(step_nm)
        raw_nm = self._halves_nm()
        half_error_nm = error_of_half_nm(raw_nm)
        self.width, self.error_nm = best_width(raw_nm), half_error_nm / np.sqrt(2)
        self.whole.drift_nm = smoothed(self.whole.drift_nm, self.width, self.error_nm)
        for trace in self.halves:
            trace.drift_nm = smoothed(trace.drift_nm, self.width, half_error_nm)
        self.curves = self._curves(raw_nm)

    def cut(self) -> bool:
        """Cut parts in two if they are too long: if hardly any smoothing is best."""
        if self.width > WIDTH_OF_LONG or 2 * len(self.parts) > PARTS_MOST:
            return False
        self.parts = parts_of(self._points, 2 * len(self.parts))
        for trace in (self.whole, *self.halves):
            trace.cut(self.parts)
        return True

    def _halves_nm(self) -> NDArray[np.float64]:
        return np.stack([trace.drift_nm for trace in self.halves])

    def _curves(self, raw_nm: NDArray[np.float64]) -> Curves:
        return Curves(self.whole.drift_nm, self._halves_nm(), raw_nm)


def _foretold(halves: Sequence[Trace]) -> bool:
    """Whether the drift of each half of the sample brings molecules of the other one together.

    Of molecules that are spread at random, corrected and uncorrected places have numbers of close
    pairs that differ by chance alone.
    """
    one, other = halves
    after = one.close_pairs(other.drift_nm) + other.close_pairs(one.drift_nm)
    before = sum(half.close_pairs(0 * half.drift_nm) for half in halves)
    return after - before > GAIN_ERRORS * float(np.sqrt(after + before))


def _number(molecules: int, each: int, least: int, most: int) -> int:
    return int(np.clip(molecules // each, least, most))
