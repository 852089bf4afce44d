"""Affine maps between the places of two images, fitted to pairs of places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AFFINE_PAIRS_LEAST = 6
"""Fewest pairs from which an affine map is fitted: twice as many as it needs."""

USED_SHARE = 0.75
"""Least share of the pairs that an affine map has to fit."""

_OUTLIER_SIGMAS, _ROUNDS = 4.0, 5
"""Pairs that are so many robust standard deviations away are left out, in so many rounds."""


@dataclass(frozen=True)
class Affine:
    """A map of places: ``matrix`` (2, 2) times the place y, x, plus ``offset_nm`` (2,)."""

    matrix: NDArray[np.float64]
    offset_nm: NDArray[np.float64]

    def at(self, yx_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where places (2, K) are mapped to, (2, K)."""
        mapped: NDArray[np.float64] = self.matrix @ yx_nm + self.offset_nm[:, None]
        return mapped

    def inverse_at(self, yx_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The places (2, K) that are mapped to these (2, K)."""
        places: NDArray[np.float64]
        places = np.linalg.solve(self.matrix, yx_nm - self.offset_nm[:, None])
        return places

    @property
    def area(self) -> float:
        """The area to which one of 1 is mapped."""
        return float(np.linalg.det(self.matrix))

    @property
    def rotation_deg(self) -> float:
        """Rotation, from the axis x to the axis y, which points down: clockwise on the screen."""
        (yy, yx), (xy, xx) = self.matrix
        return math.degrees(math.atan2(yx - xy, yy + xx))


def moved_by(yx_nm: NDArray[np.float64]) -> Affine:
    """A shift (2,), in nm."""
    return Affine(np.eye(2), np.asarray(yx_nm, np.float64))


@dataclass(frozen=True)
class Fitted:
    """An affine map that was fitted to pairs, and how well.

    ``used`` (N,) bool are the pairs that were used. ``residual_nm`` is the root mean square,
    along an axis, by which the map misses a pair that was left out of the fit; ``error_nm`` is
    the standard error of the map, along an axis, where it is known worst: at a corner of the field.
    """

    affine: Affine
    used: NDArray[np.bool_]
    residual_nm: float
    error_nm: float
    turns: bool

    def as_dict(self, field_nm: tuple[float, float]) -> dict[str, Any]:
        """The map, for JSON: its shift in the middle of the field (height, width), and the rest."""
        middle = np.array(field_nm)[:, None] / 2
        y_nm, x_nm = (self.affine.at(middle) - middle)[:, 0]
        return {
            "model": "affine" if self.turns else "shift",
            "shift_x_nm": round(float(x_nm), 2),
            "shift_y_nm": round(float(y_nm), 2),
            "rotation_deg": round(self.affine.rotation_deg, 4),
            "magnification": round(math.sqrt(abs(self.affine.area)), 6),
            "residual_nm": round(self.residual_nm, 2),
            "error_nm": round(self.error_nm, 2),
            "matrix_yx": np.round(self.affine.matrix, 8).tolist(),
            "offset_yx_nm": np.round(self.affine.offset_nm, 3).tolist(),
        }


def fitted(
    from_nm: NDArray[np.float64], to_nm: NDArray[np.float64], field_nm: tuple[float, float]
) -> Fitted:
    """Fit a shift, or an affine map where that foretells pairs that were left out better.

    Parameters
    ----------
    from_nm, to_nm : ndarray, shape (2, N)
        Places y, x of two pairs or more, in both images.
    field_nm : tuple of float
        Height and width of the field.
    """
    shift = _robust(from_nm, to_nm, field_nm, turns=False)
    if from_nm.shape[1] < AFFINE_PAIRS_LEAST:
        return shift
    affine = _robust(from_nm, to_nm, field_nm, turns=True)
    enough = affine.used.sum() >= max(AFFINE_PAIRS_LEAST, USED_SHARE * from_nm.shape[1])
    return affine if enough and affine.residual_nm < shift.residual_nm else shift


def _robust(
    from_nm: NDArray[np.float64],
    to_nm: NDArray[np.float64],
    field_nm: tuple[float, float],
    *,
    turns: bool,
) -> Fitted:
    """Fit, leave out pairs that are far away, and fit again."""
    used = np.ones(from_nm.shape[1], bool)
    least = AFFINE_PAIRS_LEAST if turns else 2
    for _ in range(_ROUNDS):
        found = _fit(from_nm, to_nm, used, field_nm, turns=turns)
        away_nm = np.hypot(*(found.affine.at(from_nm) - to_nm))
        usual_nm = 1.4826 * float(np.median(away_nm[used])) / 1.18  # of a Rayleigh distribution
        kept = away_nm <= max(_OUTLIER_SIGMAS * usual_nm, 1.0)
        if kept.sum() < least or (kept == used).all():
            break
        used = kept
    return found


def _fit(
    from_nm: NDArray[np.float64],
    to_nm: NDArray[np.float64],
    used: NDArray[np.bool_],
    field_nm: tuple[float, float],
    *,
    turns: bool,
) -> Fitted:
    """Least squares of the used pairs; pairs that are left out are foretold by their leverage."""
    middle = from_nm[:, used].mean(axis=1, keepdims=True)
    design = _design(from_nm[:, used] - middle, turns=turns)
    wanted = to_nm[:, used] - from_nm[:, used]
    solved = np.linalg.lstsq(design, wanted.T, rcond=None)[0]
    matrix = np.eye(2) + (solved[1:].T if turns else 0)
    offset_nm = solved[0] + middle[:, 0] - matrix @ middle[:, 0]
    inverse = np.linalg.pinv(design.T @ design)
    leverage = np.einsum("np,pq,nq->n", design, inverse, design)
    missed = (wanted - (design @ solved).T) / np.maximum(1 - leverage, 1e-6)
    residual_nm = math.sqrt(float(np.mean(missed**2)))
    height_nm, width_nm = field_nm
    corners = np.array([[0, 0, height_nm, height_nm], [0, width_nm, 0, width_nm]])
    at_corners = _design(corners - middle, turns=turns)
    worst = np.einsum("np,pq,nq->n", at_corners, inverse, at_corners).max()
    affine = Affine(matrix, offset_nm)
    return Fitted(affine, used, residual_nm, residual_nm * math.sqrt(float(worst)), turns)


def _design(yx_nm: NDArray[np.float64], *, turns: bool) -> NDArray[np.float64]:
    ones = np.ones((yx_nm.shape[1], 1))
    return np.concatenate([ones, yx_nm.T], axis=1) if turns else ones
