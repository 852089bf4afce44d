"""Find the frame at which a sample jumped, within the part of a film that holds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.pair_image import PairImage
from smlm_pipeline.drift.points import Parts, Points

PIXEL_NM, SIGMA_PX = 10.0, 1.5
"""Pixel of the image in which molecules are looked up, and the width of their neighbourhood."""

JUMP_ERRORS = 6.0
"""Standard errors of a part by which its two neighbours must be apart."""

STEPS_MOST = 100
"""Most steps that are looked for, the largest first."""


def with_steps(
    points: Points, parts: Parts, drift_nm: NDArray[np.float64], error_nm: float
) -> Drift:
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
        return lines
    corrected_nm = points.yx_nm - lines.at(points.frame)
    image = PairImage(corrected_nm, PIXEL_NM)
    steps: dict[int, float] = {}
    for part in jumps:
        rows = slice(parts.first_row[part - 1], parts.first_row[part + 2])
        own = image.pixels(corrected_nm[:, rows])
        image.add(own, -1)
        near = Points(points.frame[rows], points.yx_nm[:, rows])
        frame = _frame_of_step(image, near, lines, drift_nm[:, [part - 1, part + 1]])
        image.add(own, 1)
        if frame is not None:
            steps[part] = frame
    return _stepped(parts, drift_nm, steps)


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


def _frame_of_step(
    image: PairImage, near: Points, lines: Drift, ends_nm: NDArray[np.float64]
) -> float | None:
    """The time of a step from one drift to the other, (2, 2); None where lines fit better."""

    def fit(drift_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the density of other molecules where each molecule came from, (K,)."""
        density = image.density(image.pixels(near.yx_nm - drift_nm), SIGMA_PX)
        return np.asarray(np.log(density + 0.1))

    before, after = fit(ends_nm[:, :1]), fit(ends_nm[:, 1:])
    gain = np.concatenate([[0.0], np.cumsum(before - after)]) + after.sum()
    (ends_of_frames,) = np.nonzero(np.diff(near.frame))
    margin = len(near.frame) // 6  # half a part: at the very end a few molecules fit anything
    inner = (ends_of_frames >= margin) & (ends_of_frames < len(near.frame) - margin)
    ends_of_frames = ends_of_frames[inner]
    if not len(ends_of_frames):
        return None
    row = int(ends_of_frames[gain[ends_of_frames + 1].argmax()]) + 1
    if gain[row] <= fit(lines.at(near.frame)).sum():
        return None
    return float(near.frame[row - 1] + near.frame[row]) / 2


def _stepped(parts: Parts, drift_nm: NDArray[np.float64], steps: dict[int, float]) -> Drift:
    """Lines from part to part, with two knots at the time of a step instead of its part."""
    frame: list[float] = []
    knots: list[NDArray[np.float64]] = []
    for part, centre in enumerate(parts.centre_frame.tolist()):
        if part in steps:
            frame += [steps[part] - 1e-3, steps[part] + 1e-3]
            knots += [drift_nm[:, part - 1], drift_nm[:, part + 1]]
        else:
            frame.append(centre)
            knots.append(drift_nm[:, part])
    return Drift(np.array(frame), np.stack(knots, axis=1))
