"""Where in the truth two filaments run close side by side: where methods differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Values = NDArray[np.float64]

HALF_LENGTH_NM = 500.0
"""Of the profile, to either side of the middle between the two."""

HALF_WIDTH_NM = 75.0
"""Of the strip over which a profile is averaged, along the filaments."""

APART_NM = (120.0, 300.0)
"""Distance of the two filaments."""

_ANGLES = np.deg2rad(np.arange(0, 180, 15))
_CANDIDATES = 400


@dataclass(frozen=True)
class Cut:
    """A line across two filaments: its middle in SR pixels, and its direction in radians.

    ``angle`` is that of the profile, from the x axis towards the y axis.
    """

    y: float
    x: float
    angle: float
    fine_nm: float

    def places_nm(self) -> Values:
        """Distance along the line of each value of a profile."""
        places: Values = np.arange(-HALF_LENGTH_NM, HALF_LENGTH_NM + 1e-9, self.fine_nm)
        return places

    def corners(self) -> Values:
        """Of the strip that a profile is averaged over, (4, 2): x and y in SR pixels."""
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        sides = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        along, across = (sides * (HALF_LENGTH_NM, HALF_WIDTH_NM) / self.fine_nm).T
        corners: Values = np.column_stack(
            [self.x + along * cosine - across * sine, self.y + along * sine + across * cosine]
        )
        return corners

    def profile(self, image: Values) -> Values:
        """Values of an image (Y, X) along the line, averaged over the strip's width."""
        middle = np.array([self.y]), np.array([self.x])
        profile: Values = _profiles(image, *middle, self.angle, self.fine_nm)[0]
        return profile


def close_lines(truth: Values, fine_nm: float) -> Cut:
    """The cut at which two filaments of equal brightness, with little between them, are nearest.

    Parameters
    ----------
    truth : ndarray, shape (Y, X)
        Blurred, so that filaments are continuous.
    fine_nm : float
        Edge of a pixel.

    Returns
    -------
    Cut
        Where there is no such place, through the brightest point.
    """
    y, x = _candidates(truth, HALF_LENGTH_NM / fine_nm)
    best, cut = 0.0, Cut(float(y[0]), float(x[0]), 0.0, fine_nm)
    for angle in _ANGLES:
        profiles = _profiles(truth, y, x, float(angle), fine_nm)
        for place in range(len(y)):
            worth = _worth(profiles[place], fine_nm)
            if worth > best:
                best = worth
                cut = Cut(float(y[place]), float(x[place]), float(angle), fine_nm)
    return cut


def _candidates(truth: Values, margin: float) -> tuple[Values, Values]:
    """Places spread over the lit part of the image, the brightest of each neighbourhood first."""
    height, width = truth.shape
    edge = int(min(margin, height // 4, width // 4))
    step = max(int(np.sqrt((height - 2 * edge) * (width - 2 * edge) / (4 * _CANDIDATES))), 1)
    rows, columns = np.mgrid[edge : height - edge : step, edge : width - edge : step]
    near = np.stack([truth[rows + dy, columns + dx] for dy in (-step, 0) for dx in (-step, 0)])
    order = np.argsort(-near.sum(axis=0).ravel(), kind="stable")[: 2 * _CANDIDATES]
    return rows.ravel()[order].astype(float), columns.ravel()[order].astype(float)


def _profiles(image: Values, y: Values, x: Values, angle: float, fine_nm: float) -> Values:
    """Profiles through many places (K, L) at one angle, averaged across."""
    along = np.arange(-HALF_LENGTH_NM, HALF_LENGTH_NM + 1e-9, fine_nm) / fine_nm
    across = np.arange(-HALF_WIDTH_NM, HALF_WIDTH_NM + 1e-9, 2 * fine_nm) / fine_nm
    sine, cosine = np.sin(angle), np.cos(angle)
    rows = y[:, None, None] + along[:, None] * sine + across * cosine
    columns = x[:, None, None] + along[:, None] * cosine - across * sine
    values = map_coordinates(image, [rows, columns], order=1, mode="constant")
    profiles: Values = values.mean(axis=-1)
    return profiles


def _worth(profile: Values, fine_nm: float) -> float:
    """How deep the valley between the two highest peaks is, if they are as far apart as asked."""
    inner = profile[1:-1]
    (tops,) = np.nonzero((inner > profile[:-2]) & (inner >= profile[2:]))
    if len(tops) < 2:
        return 0.0
    first, second = sorted(tops[np.argsort(-inner[tops], kind="stable")[:2]])
    apart_nm = (second - first) * fine_nm
    off_nm = abs((first + second) / 2 + 1 - len(profile) // 2) * fine_nm
    if not APART_NM[0] <= apart_nm <= APART_NM[1] or off_nm > 2 * fine_nm:
        return 0.0
    lower, higher = sorted((inner[first], inner[second]))
    valley = inner[first : second + 1].min()
    return float(lower * (lower / higher) * (1 - valley / lower) * APART_NM[0] / apart_nm)
