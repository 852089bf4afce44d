"""Find beads in two images, match them, and fit the map from one image to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.registration.affine import Fitted, fitted, moved_by

MATCHED_LEAST, MATCHED_SHARE = 6, 0.5
"""Fewest pairs of beads, and the least share of the beads of the image that has fewer."""

RESIDUAL_MOST_PX = 0.3
"""Largest residual, in camera pixels: that of beads which are not the same is larger."""

REACH_PX = 40
"""Largest shift between the images, along an axis; a quarter of the field at most."""

_BEADS_MOST, _APART_PX, _BORDER_PX = 300, 6, 4
_NOISE_SIGMAS, _SIGMA_PX, _ROUNDS = 10.0, 1.3, 12
_TOLERANCES_PX = (5.0, 3.0, 2.0, 1.0, 1.0)


@dataclass(frozen=True)
class BeadMap:
    """The map from one image to another by beads: how many there are in each, and matched."""

    fit: Fitted
    beads: tuple[int, int]
    matched: int


def bead_map(one: NDArray[np.float64], two: NDArray[np.float64], pixel_nm: float) -> BeadMap:
    """Fit the map from the places of beads in one image to those in another of the same size.

    Parameters
    ----------
    one, two : ndarray, shape (Y, X), float64
        Images of beads, in ADU.
    pixel_nm : float
        Edge of a pixel.

    Raises
    ------
    FilmError
        If too few beads are found or match, or they do not fit one map.
    """
    first_px, second_px = (bead_places_px(image) for image in (one, two))
    counts = first_px.shape[1], second_px.shape[1]
    fewer = min(counts)
    found = f"has {counts[0]} beads in the first channel and {counts[1]} in the second one"
    needed = f"expected at least {MATCHED_LEAST} beads that are seen in both, bright and apart"
    if fewer < MATCHED_LEAST:
        raise FilmError(f"the film of beads {found}; {needed}")
    field_px = float(one.shape[0]), float(one.shape[1])
    pairs = _matched(first_px, second_px, field_px)
    if pairs.shape[1] < max(MATCHED_LEAST, MATCHED_SHARE * fewer):
        raise FilmError(
            f"the film of beads {found}, of which {pairs.shape[1]} match; {needed}, and at most "
            f"{_reach_px(field_px):.0f} pixels apart"
        )
    places_nm = first_px[:, pairs[0]] * pixel_nm, second_px[:, pairs[1]] * pixel_nm
    field_nm = field_px[0] * pixel_nm, field_px[1] * pixel_nm
    fit = fitted(*places_nm, field_nm)
    if not fit.residual_nm <= RESIDUAL_MOST_PX * pixel_nm:
        raise FilmError(
            f"the film of beads {found}, whose places fit no affine map (they miss it by "
            f"{fit.residual_nm:.0f} nm); expected the same beads in both channels, at most "
            f"{RESIDUAL_MOST_PX * pixel_nm:.0f} nm away"
        )
    return BeadMap(fit, counts, int(fit.used.sum()))


def bead_places_px(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (2, K) of bright spots that stand apart, y and x, the brightest first.

    The place is the centroid under a Gaussian that follows it (doi
    10.1016/S0006-3495(02)75618-X), from the corner of the first pixel.
    """
    level = float(np.median(image))
    spread = 1.4826 * float(np.median(np.abs(image - level))) or 1.0
    smooth = _smoothed(image)
    inner = np.zeros(image.shape, bool)
    inner[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = True
    bright = inner & (smooth > level + _NOISE_SIGMAS * spread / 3) & _is_highest(smooth)
    y, x = np.nonzero(bright)
    order = np.argsort(-smooth[y, x], kind="stable")
    corners = np.stack([y, x])[:, order]
    apart = np.hypot(*(corners[:, :, None] - corners[:, None, :])) + 1e9 * np.eye(len(order))
    alone = corners[:, apart.min(axis=1, initial=np.inf) > _APART_PX][:, :_BEADS_MOST]
    places = [_centroid_px(image, *each) for each in alone.T.tolist()]
    return np.array(places, np.float64).reshape(-1, 2).T


def _smoothed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of 3 x 3 pixels; edges are continued."""
    padded = np.pad(image, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return np.asarray(windows.mean(axis=(2, 3)))


def _is_highest(image: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a pixel is the highest of 5 x 5."""
    padded = np.pad(image, 2, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    return np.asarray(image >= windows.max(axis=(2, 3)))


def _centroid_px(image: NDArray[np.float64], row: int, column: int) -> tuple[float, float]:
    reach = _BORDER_PX
    part = image[row - reach : row + reach + 1, column - reach : column + reach + 1]
    border = np.concatenate([part[0], part[-1], part[1:-1, 0], part[1:-1, -1]])
    light = part - np.median(border)
    axis = np.arange(-reach, reach + 1)
    y = x = 0.0
    for _ in range(_ROUNDS):
        down, across = (np.exp(-0.5 * ((axis - at) / _SIGMA_PX) ** 2) for at in (y, x))
        weighted = light * down[:, None] * across
        total = weighted.sum()
        if total <= 0:
            break
        # a Gaussian of the same width as the spot's halves the distance: twice the step
        y += 2 * float(weighted.sum(axis=1) @ axis / total - y)
        x += 2 * float(weighted.sum(axis=0) @ axis / total - x)
        y, x = (float(np.clip(at, -1.5, 1.5)) for at in (y, x))
    return row + 0.5 + y, column + 0.5 + x


def _reach_px(field_px: tuple[float, float]) -> float:
    return min(REACH_PX, min(field_px) / 4)


def _matched(
    first_px: NDArray[np.float64], second_px: NDArray[np.float64], field_px: tuple[float, float]
) -> NDArray[np.int64]:
    """Indices (2, N) of beads that are nearest to each other under the map, ever better known."""
    affine = moved_by(_usual_shift_px(first_px, second_px, _reach_px(field_px)))
    pairs = np.empty((2, 0), np.int64)
    for tolerance_px in _TOLERANCES_PX:
        there_px = affine.at(first_px)
        apart_px = np.hypot(*(there_px[:, :, None] - second_px[:, None, :]))
        nearest, back = apart_px.argmin(axis=1), apart_px.argmin(axis=0)
        own = np.arange(len(nearest))
        mutual = (back[nearest] == own) & (apart_px[own, nearest] <= tolerance_px)
        pairs = np.stack([own[mutual], nearest[mutual]])
        if pairs.shape[1] < MATCHED_LEAST:
            break
        affine = fitted(first_px[:, pairs[0]], second_px[:, pairs[1]], field_px).affine
    return pairs


def _usual_shift_px(
    first_px: NDArray[np.float64], second_px: NDArray[np.float64], reach_px: float
) -> NDArray[np.float64]:
    """The shift (2,) that most pairs of beads have, to about 1.5 pixels."""
    apart = (second_px[:, None, :] - first_px[:, :, None]).reshape(2, -1)
    near = apart[:, (np.abs(apart) <= reach_px).all(axis=0)]
    if not near.shape[1]:
        return np.zeros(2)
    votes = (np.hypot(*(near[:, :, None] - near[:, None, :])) <= 2.0).sum(axis=1)
    best = near[:, votes.argmax()]
    close = np.hypot(*(near - best[:, None])) <= 2.0
    return np.asarray(near[:, close].mean(axis=1))
