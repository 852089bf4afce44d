"""The error of an SR image against the wide field of its film (doi 10.1038/nmeth.4605)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.resolution.camera_view import camera_view
from smlm_pipeline.resolution.rings import Image

SIGMA_LEAST_PX, SIGMA_MOST_PX = 0.5, 4.0
"""Widths of the resolution scaling function that are tried, in camera pixels."""

SIGMA_STEP_PX = 0.005
"""The width is found to this."""

BORDER_PX = 4
"""Camera pixels along the edges that are not judged: molecules out of the field light them."""

FIELD_LEAST_PX = 24
"""A smaller field is judged to its edges."""

_SECOND_DIFFERENCES = 6.0
"""Second differences along both axes have so many times the noise of a pixel."""

_MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a normal variable."""

WIDTH_EDGE_PX = 512
"""The width is sought in a part of so many pixels along an edge: that with the most structure."""

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class ErrorMap:
    """An SR image, blurred back, beside the wide field; all maps are (Y, X) float32.

    The model is ``slope`` times the image blurred by a Gaussian of ``sigma_px`` (the resolution
    scaling function), plus ``offset``. ``difference`` is ``wide_field`` less ``model``: where it is
    positive the image lacks light, where it is negative it shows molecules without light. It is
    not a number where it is not judged: along the edges, and where the field shows no picture.

    Attributes
    ----------
    sigma_px : float
        Sigma of the resolution scaling function, in camera pixels; not a number where the image is
        empty.
    slope, offset : float
        Of the fit: light of a unit of the image, and light of the ground.
    pearson : float
        Pearson correlation of both (RSP), from -1 to 1; 0 where one of them is even.
    error : float
        Root mean square of the difference (RSE), in units of the wide field.
    noise : float
        Noise of a pixel of the wide field, in the same units: the part of ``error`` that no image
        could avoid.
    spread : float
        Standard deviation of the wide field over the judged pixels.
    """

    wide_field: NDArray[np.float32]
    model: NDArray[np.float32]
    difference: NDArray[np.float32]
    sigma_px: float
    slope: float
    offset: float
    pearson: float
    error: float
    noise: float
    spread: float

    @property
    def unexplained(self) -> float:
        """Share of the wide field's structure, without its noise, that the image does not have."""
        structure = max(self.spread**2 - self.noise**2, 0.0)
        missed = max(self.error**2 - self.noise**2, 0.0)
        return float(np.sqrt(missed / structure)) if structure > 0 else 1.0


def error_map(
    image: Image, wide_field: NDArray[np.float64], zoom: int, blank: NDArray[np.bool_]
) -> ErrorMap:
    """Blur an image back to the wide field, by the width that fits best, and compare both.

    SQUIRREL compares on the SR grid, after a registration. Here both images are of one film, so no
    registration is needed, and camera pixels are compared, which is all that the film has.

    Parameters
    ----------
    image : Image, shape (zoom Y, zoom X)
        The SR image.
    wide_field : ndarray, shape (Y, X), float64
        The sum or mean of the same frames.
    zoom : int
        SR pixels along the edge of a camera pixel.
    blank : ndarray, shape (Y, X), bool
        Camera pixels that show no picture.
    """
    judged = _judged(blank)
    sharpest = camera_view(image, zoom, SIGMA_LEAST_PX)
    part = _busiest(wide_field, judged)
    fit = _Fit(sharpest[part], wide_field[part], judged[part])
    sigma_px = _best(lambda sigma_px: fit.of(sigma_px).pearson)
    found = _Fit(sharpest, wide_field, judged).of(sigma_px)
    model = found.slope * found.view + found.offset
    difference = np.where(judged, wide_field - model, np.nan)
    values = wide_field[judged]
    error = float(np.sqrt(np.mean(difference[judged] ** 2))) if judged.any() else 0.0
    return ErrorMap(
        wide_field.astype(np.float32),
        model.astype(np.float32),
        difference.astype(np.float32),
        sigma_px if found.slope > 0 else float("nan"),
        found.slope,
        found.offset,
        found.pearson,
        error,
        min(_noise(difference), error),
        float(values.std()) if values.size else 0.0,
    )


@dataclass(frozen=True)
class _Fitted:
    """A blurred image, and the line that leads from it to the wide field."""

    view: NDArray[np.float64]
    slope: float
    offset: float
    pearson: float


class _Fit:
    """Blurs an image further, and fits it to the wide field over the judged pixels."""

    def __init__(
        self,
        sharpest: NDArray[np.float64],
        wide_field: NDArray[np.float64],
        judged: NDArray[np.bool_],
    ) -> None:
        self._sharpest, self._judged = sharpest, judged
        self._wide = wide_field[judged]
        reach_px = round(4.5 * SIGMA_MOST_PX)
        self._size = [_fast_size(edge + reach_px) for edge in sharpest.shape]
        self._transform = np.fft.rfft2(sharpest, self._size)

    def of(self, sigma_px: float) -> _Fitted:
        """Fit the image under a Gaussian of this sigma: least squares, slopes below 0 are 0."""
        more_px2 = max(sigma_px**2 - SIGMA_LEAST_PX**2, 0.0)
        y, x = np.fft.fftfreq(self._size[0]), np.fft.rfftfreq(self._size[1])
        rows, columns = (np.exp(-2 * np.pi**2 * more_px2 * axis**2) for axis in (y, x))
        passed = self._transform * rows[:, None] * columns
        height, width = self._sharpest.shape
        view = np.fft.irfft2(passed, self._size)[:height, :width]
        seen, wide = view[self._judged], self._wide
        if not seen.size or seen.std() == 0 or wide.std() == 0:
            return _Fitted(view, 0.0, float(wide.mean()) if wide.size else 0.0, 0.0)
        pearson = float(np.corrcoef(seen, wide)[0, 1])
        slope = max(pearson * float(wide.std() / seen.std()), 0.0)
        return _Fitted(view, slope, float(wide.mean() - slope * seen.mean()), pearson)


def _best(score: Callable[[float], float]) -> float:
    """The width of the largest score, by golden sections."""
    low, high = SIGMA_LEAST_PX, SIGMA_MOST_PX
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    scores = [score(each) for each in inner]
    while high - low > SIGMA_STEP_PX:
        if scores[0] >= scores[1]:
            high, inner[1], scores[1] = inner[1], inner[0], scores[0]
            inner[0] = high - _GOLDEN * (high - low)
            scores[0] = score(inner[0])
        else:
            low, inner[0], scores[0] = inner[0], inner[1], scores[1]
            inner[1] = low + _GOLDEN * (high - low)
            scores[1] = score(inner[1])
    return inner[0] if scores[0] >= scores[1] else inner[1]


def _judged(blank: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (Y, X) that are compared: they show a picture, and all molecules that light them."""
    judged = ~blank
    if min(blank.shape) >= FIELD_LEAST_PX:
        judged[:BORDER_PX] = judged[-BORDER_PX:] = False
        judged[:, :BORDER_PX] = judged[:, -BORDER_PX:] = False
    return judged


def _busiest(wide_field: NDArray[np.float64], judged: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The part of a large field whose wide field varies most."""
    parts = [
        (slice(top, top + WIDTH_EDGE_PX), slice(left, left + WIDTH_EDGE_PX))
        for top in range(0, wide_field.shape[0], WIDTH_EDGE_PX)
        for left in range(0, wide_field.shape[1], WIDTH_EDGE_PX)
    ]
    if len(parts) == 1:
        return parts[0]

    def variation(part: tuple[slice, slice]) -> float:
        values = wide_field[part][judged[part]]
        return float(values.var()) * values.size if values.size else 0.0

    return max(parts, key=variation)


def _noise(difference: NDArray[np.float64]) -> float:
    """Standard deviation of white noise, from what no optics passes, and without rare spikes.

    As doi 10.1006/cviu.1996.0060 estimates it, by the median.
    """
    rows = np.diff(np.diff(difference, axis=0), axis=0)
    both = np.abs(np.diff(np.diff(rows, axis=1), axis=1))
    known = both[np.isfinite(both)] / _SECOND_DIFFERENCES
    return float(np.median(known) / _MEDIAN_OF_NORMAL) if known.size else 0.0


def _fast_size(least: int) -> int:
    """The next size whose transform is quick: factors of 2, 3 and 5 alone."""
    size = least
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1
