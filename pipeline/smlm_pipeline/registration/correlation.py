"""The shift between two images of one sample, by the cross-correlation of their parts.

A shift is believed only if groups of parts that have no pixel in common agree on it, and no other
shift is nearly as good. Images of unlike structures, of grids and of parallel lines have others.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.peaks import highest
from smlm_pipeline.registration.parts import TILES, Grid, Image, grid_of, parts_of, whole

FINE_NM, COARSE_NM = 35.0, 250.0
"""Sigmas of the correlation's filter: finer than structures, and wider than any of them."""

PEAK_SIGMAS = 6.0
"""Least height of the correlation's peak, in standard deviations of the correlation."""

RIVAL_MOST, RIVAL_APART_NM = 0.75, 150.0
"""Most height of another peak, as a share of the highest, at such a distance from it."""

GROUPS, AGREEING_LEAST, AGREEING_NM = 4, 3, 100.0
"""Groups of parts, spread over the field; so many have to show the shift, so well."""

ERROR_MOST_NM = 25.0
"""Largest standard error of a shift that is believed, along an axis."""

BENT_NM, BENT_ERRORS = 30.0, 3.0
"""Difference of the shifts of halves of the field from which one shift is not all; and the least
number of standard errors that it has to be."""


@dataclass(frozen=True)
class Shift:
    """The shift between two images, and what speaks for it.

    Where the images do not tell, ``reason`` says why; it is empty otherwise.

    Attributes
    ----------
    yx_nm : tuple of float
        How far what the second image shows is down and to the right of the same in the first one.
    error_nm : float
        Standard error along an axis, by groups of parts of the field.
    bent_nm : float
        Largest difference along an axis between the shifts of two halves of the field: left and
        right, or top and bottom. It is noise, or the images are turned or scaled.
    height, rival : float
        The peak in standard deviations of the correlation, and the next one as a share of it.
    agreeing : int
        Groups of parts, of ``GROUPS``, that show the shift by themselves.
    """

    reason: str
    yx_nm: tuple[float, float]
    height: float
    rival: float
    agreeing: int = 0
    error_nm: float = math.nan
    bent_nm: float = math.nan

    @property
    def known(self) -> bool:
        """Whether the images tell their shift."""
        return not self.reason

    @property
    def bends(self) -> bool:
        """Whether halves of the field differ in their shifts by more than noise."""
        return self.bent_nm > max(BENT_NM, BENT_ERRORS * self.error_nm)


def shift_between(
    one: Image,
    two: Image,
    sr_pixel_nm: float,
    reach_nm: float,
    *,
    least_nm: float = 0.0,
) -> Shift:
    """Find the shift from one image to another of the same size.

    Parameters
    ----------
    one, two : Image
        Molecules per SR pixel.
    sr_pixel_nm : float
        Edge of an SR pixel.
    reach_nm : float
        Largest shift that is looked for, along an axis; a quarter of the field at most.
    least_nm : float
        A smaller shift is not looked into, and not known then.
    """
    grid = grid_of(one.shape, sr_pixel_nm, min(reach_nm, sr_pixel_nm * min(one.shape[:2]) / 4))
    spectrum = np.fft.rfft2(whole(two, grid)) * _band_pass(grid)
    of_all = _correlation(whole(one, grid), spectrum, grid)
    peak, height = _peak(of_all)
    rival, yx_nm = _rival(of_all, peak, grid), _shift_nm(peak, grid)
    no = functools.partial(Shift, yx_nm=yx_nm, height=height, rival=rival)
    if height < PEAK_SIGMAS:
        return no("they have too little structure in common")
    if rival > RIVAL_MOST:
        return no("several shifts fit nearly as well")
    if math.hypot(*yx_nm) < least_nm:
        return no("the shift is too small to matter")
    maps = np.stack([_correlation(part, spectrum, grid) for part in parts_of(one, grid)])
    groups = _groups(maps)
    agreeing = sum(_agrees(group, peak, grid) for group in groups)
    if agreeing < AGREEING_LEAST:
        return no("parts of the field do not agree on one shift", agreeing=agreeing)
    apart_nm = np.array([_near_nm(group, peak, grid) for group in groups]) - yx_nm
    error_nm = math.sqrt(float(np.mean(apart_nm**2)) / GROUPS)
    found = no("", agreeing=agreeing, error_nm=error_nm, bent_nm=_bent_nm(maps, peak, grid))
    too_rough = f"parts of the field differ in their shifts (standard error {error_nm:.0f} nm)"
    return found if error_nm <= ERROR_MOST_NM else replace(found, reason=too_rough)


def _band_pass(grid: Grid) -> NDArray[np.float64]:
    """A difference of Gaussians: neither noise nor the outline of the sample decides."""
    y = np.fft.fftfreq(grid.edges[0], grid.pixel_nm)
    x = np.fft.rfftfreq(grid.edges[1], grid.pixel_nm)
    squared = (2 * np.pi) ** 2 * (y[:, None] ** 2 + x**2)
    fine, coarse = (np.exp(-squared * sigma_nm**2 / 2) for sigma_nm in (FINE_NM, COARSE_NM))
    return np.asarray(fine - coarse)


def _correlation(
    image: NDArray[np.float32], spectrum: NDArray[np.complex128], grid: Grid
) -> NDArray[np.float64]:
    """Correlation at each shift of up to the reach, (2 reach + 1, 2 reach + 1)."""
    whole_map = np.fft.irfft2(np.conj(np.fft.rfft2(image)) * spectrum, grid.edges)
    reach = grid.reach
    near: NDArray[np.float64] = np.roll(whole_map, (reach, reach), (0, 1))
    return near[: 2 * reach + 1, : 2 * reach + 1].copy()


def _peak(found: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Place (2,) of the highest value, and its height in robust standard deviations."""
    spread = 1.4826 * float(np.median(np.abs(found - np.median(found)))) or 1.0
    return highest(found[None])[0], float(found[1:-1, 1:-1].max() / spread)


def _rival(found: NDArray[np.float64], peak: NDArray[np.float64], grid: Grid) -> float:
    """The highest value away from the peak, as a share of the peak."""
    far = found[_apart_nm(found.shape, peak, grid) > RIVAL_APART_NM]
    return float(far.max() / (found[1:-1, 1:-1].max() or 1.0))


def _apart_nm(shape: tuple[int, ...], peak: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    y, x = (np.arange(edge) - at for edge, at in zip(shape, peak, strict=True))
    apart: NDArray[np.float64] = np.hypot(y[:, None], x) * grid.pixel_nm
    return apart


def _shift_nm(peak: NDArray[np.float64], grid: Grid) -> tuple[float, float]:
    y, x = (peak - grid.reach) * grid.pixel_nm
    return float(y), float(x)


def _groups(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlations of groups of parts: every second part along both axes."""
    size = maps.shape[-1]
    half = TILES // 2
    grouped = maps.reshape(half, 2, half, 2, size, size).sum(axis=(0, 2))
    return np.asarray(grouped.reshape(GROUPS, size, size))


def _agrees(group: NDArray[np.float64], peak: NDArray[np.float64], grid: Grid) -> bool:
    """Whether the highest of all values of a group is at the peak."""
    return math.dist(highest(group[None])[0], peak) * grid.pixel_nm <= AGREEING_NM


def _near_nm(
    found: NDArray[np.float64], peak: NDArray[np.float64], grid: Grid
) -> tuple[float, float]:
    """The shift of the highest value that is not far from the peak."""
    near = _apart_nm(found.shape, peak, grid) <= 2 * AGREEING_NM
    return _shift_nm(highest(np.where(near, found, found.min())[None])[0], grid)


def _bent_nm(maps: NDArray[np.float64], peak: NDArray[np.float64], grid: Grid) -> float:
    """Largest difference between the shifts of opposite halves of the field, along an axis."""
    size = maps.shape[-1]
    tiled = maps.reshape(TILES, TILES, size, size)
    half = TILES // 2
    pairs = (tiled[:half], tiled[half:]), (tiled[:, :half], tiled[:, half:])
    shifts = [
        [_near_nm(part.sum(axis=(0, 1)), peak, grid) for part in opposite] for opposite in pairs
    ]
    return float(np.abs(np.diff(shifts, axis=1)).max())
