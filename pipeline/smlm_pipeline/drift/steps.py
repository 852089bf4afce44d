"""Find the frame at which a sample jumped, within the part of a film that holds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.pair_image import PairImage
from smlm_pipeline.drift.points import Parts, Points

PIXEL_NM, SIGMA_PX = 10.0, 1.5
"""Pixel of the image in which molecules are looked up, and the width of their neighbourhood."""

JUMP_ERRORS = 6.0
"""Standard errors of a part by which its two neighbours must be apart."""

GAIN_LEAST = 5.0
"""Logarithm of the ratio of the likelihoods of a step and of lines, from which there is a step."""

STEPS_MOST = 100
"""Most steps that are looked for, the largest first."""


@dataclass(frozen=True)
class Stepped:
    """A drift with steps.

    ``at_step`` (P,) bool are the parts with a step, and ``misplaced_nm2`` is the mean square of
    the error along an axis from the times of the steps, which are known to some frames.
    """

    drift: Drift
    at_step: NDArray[np.bool_]
    misplaced_nm2: float


@dataclass(frozen=True)
class _Step:
    """The time of a step, as a frame, and how many frames it is away from that on average."""

    frame: float
    away_frames: float


def with_steps(
    points: Points, parts: Parts, drift_nm: NDArray[np.float64], error_nm: float
) -> Stepped:
    """Lines from part to part; a step where it explains the molecules better than a line.

    Parameters
    ----------
    points : Points
        Molecules, with their drift.
    parts : Parts
        Parts of the film.
    drift_nm : ndarray, shape (2, P)
        The drift of each part.
    error_nm : float
        Standard error of a part along an axis.
    """
    lines = Drift(parts.centre_frame, drift_nm)
    jumps = _jumps(drift_nm, error_nm)
    if not jumps:
        return Stepped(lines, np.zeros(len(parts), bool), 0.0)
    corrected_nm = points.yx_nm - lines.at(points.frame)
    image = PairImage(corrected_nm, PIXEL_NM)
    steps: dict[int, _Step] = {}
    for part in jumps:
        rows = slice(parts.first_row[part - 1], parts.first_row[part + 2])
        own = image.pixels(corrected_nm[:, rows])
        image.add(own, -1)
        near = Points(points.frame[rows], points.yx_nm[:, rows])
        step = _step(image, near, lines, drift_nm[:, [part - 1, part + 1]])
        image.add(own, 1)
        if step is not None:
            steps[part] = step
    at_step = np.isin(np.arange(len(parts)), list(steps))
    away = sum(
        step.away_frames * float(np.mean((drift_nm[:, part + 1] - drift_nm[:, part - 1]) ** 2))
        for part, step in steps.items()
    )
    frames = int(points.frame[-1] - points.frame[0]) + 1
    return Stepped(_stepped(parts, drift_nm, steps), at_step, away / frames)


def _jumps(drift_nm: NDArray[np.float64], error_nm: float) -> list[int]:
    """Parts between two that are far apart, and farther than those of the next parts."""
    apart_nm = np.zeros(drift_nm.shape[1])
    apart_nm[1:-1] = np.hypot(*(drift_nm[:, 2:] - drift_nm[:, :-2]))
    far = np.argsort(-apart_nm, kind="stable")[:STEPS_MOST]
    chosen: list[int] = []
    for part in far[apart_nm[far] > JUMP_ERRORS * error_nm].tolist():
        if all(abs(part - other) > 2 for other in chosen):
            chosen.append(part)
    return chosen


def _step(
    image: PairImage, near: Points, lines: Drift, ends_nm: NDArray[np.float64]
) -> _Step | None:
    """The time of a step from one drift to the other, (2, 2); None where lines fit better."""

    def fit(drift_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the density of other molecules where each molecule came from, (K,)."""
        density = image.density(image.pixels(near.yx_nm - drift_nm), SIGMA_PX)
        return np.asarray(np.log(density + 0.1))

    before, after = fit(ends_nm[:, :1]), fit(ends_nm[:, 1:])
    gain = np.concatenate([[0.0], np.cumsum(before - after)]) + after.sum()
    (ends_of_frames,) = np.nonzero(np.diff(near.frame))
    margin = len(near.frame) // 12  # at the very end a few molecules fit anything
    inner = (ends_of_frames >= margin) & (ends_of_frames < len(near.frame) - margin)
    ends_of_frames = ends_of_frames[inner]
    if not len(ends_of_frames):
        return None
    found = gain[ends_of_frames + 1]
    best = int(found.argmax())
    if found[best] <= fit(lines.at(near.frame)).sum() + GAIN_LEAST:
        return None
    before_frame, after_frame = near.frame[ends_of_frames], near.frame[ends_of_frames + 1]
    middle = (before_frame + after_frame) / 2
    likely = np.exp(found - found[best])
    # within a gap between molecules, any frame may be that of the step
    away = np.abs(middle - middle[best]) + (after_frame - before_frame - 1) / 4
    return _Step(float(middle[best]), float((likely * away).sum() / likely.sum()))


def _stepped(parts: Parts, drift_nm: NDArray[np.float64], steps: dict[int, _Step]) -> Drift:
    """Lines from part to part, with two knots at the time of a step instead of its part."""
    frame: list[float] = []
    knots: list[NDArray[np.float64]] = []
    for part, centre in enumerate(parts.centre_frame.tolist()):
        if part in steps:
            frame += [steps[part].frame - 1e-3, steps[part].frame + 1e-3]
            knots += [drift_nm[:, part - 1], drift_nm[:, part + 1]]
        else:
            frame.append(centre)
            knots.append(drift_nm[:, part])
    return Drift(np.array(frame), np.stack(knots, axis=1))
