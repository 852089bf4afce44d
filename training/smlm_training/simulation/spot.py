"""How the light of one spot is shared among pixels, as sums over all places it may have.

A spot is a Gaussian integrated over each pixel (Smith et al., doi 10.1038/nmeth.1449).
It separates into a profile along y and one along x, so each sum over places is a product
of two integrals along one axis. A spot has one photon here; places lie evenly, as those of
many molecules do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.spot_shape import SpotShape

NOMINAL_OVER_ALIKE = 1.13
"""The scale of molecules with a spread of `smlm_pipeline.compute.brightness.NOMINAL_SPREAD` s over
that of molecules that are alike: exp(2 s^2)."""

_STEP_PX = 0.125
"""Sums are exact to 1e-6 for spots of sigma 0.5 px and more: they are smooth."""

_PLACES_PX = np.arange(-16, 16, _STEP_PX)


def pair_overlap(sigma_px: float, lag_px: NDArray[np.int_]) -> NDArray[np.float64]:
    """Integral of profile times profile, ``lag_px`` pixels apart, over the spot's place.

    It is the triangle of two pixels, convolved with a Gaussian of variance
    ``2 sigma_px**2``: about ``exp(-lag**2 / (4 (sigma**2 + 1 / 12)))``.

    Parameters
    ----------
    sigma_px : float
        Standard deviation of the spot.
    lag_px : ndarray, any shape, int
        Distances between two pixels along one axis.

    Returns
    -------
    ndarray, shape of ``lag_px``, float64
        Overlaps, 1/px.
    """
    width_px = np.sqrt(2) * sigma_px

    def ramp(x_px: NDArray[np.int_]) -> NDArray[np.float64]:
        z = x_px / width_px
        tail: NDArray[np.float64] = x_px * scipy.special.ndtr(z) + width_px * _normal(z)
        return tail

    return ramp(lag_px + 1) - 2 * ramp(lag_px) + ramp(lag_px - 1)


def _normal(z: NDArray[np.float64]) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return density


def profile(sigma_px: float, pixel: int = 0) -> NDArray[np.float64]:
    """Share of the light that falls into a pixel, for each of many places of the spot."""
    edge_px = (pixel + 0.5 - _PLACES_PX) / sigma_px
    share: NDArray[np.float64] = scipy.special.ndtr(edge_px) - scipy.special.ndtr(
        edge_px - 1 / sigma_px
    )
    return share


def filtered_profile(sigma_px: float, taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a filter of an odd number of ``taps``, shape (K,), makes of the profile."""
    first = -(len(taps) // 2)
    shares = np.array([profile(sigma_px, first + index) for index in range(len(taps))])
    filtered: NDArray[np.float64] = taps @ shares
    return filtered


def overlap(*profiles: NDArray[np.float64]) -> float:
    """Integral of the product of profiles over the spot's place, along one axis."""
    return float(np.prod(profiles, axis=0).sum() * _STEP_PX)


def expected_scale_adu(fluorophore: Fluorophore, adu_per_photon: float) -> float:
    """The scale of an endless film of such molecules.

    ``compute.levels.scale_segments`` estimates it: the third over the second cross-cumulant.
    Molecules that blink independently at places h add E[I^3] h(0, 0) h(0, 1) h(1, 0) to the third
    and E[I^2] h(0, 0) (h(0, 1) + h(1, 0)) / 2 to the second (Campbell's theorem), where h is the
    share of the light in a pixel and its neighbours; the number of molecules cancels. A spot is a
    sum of Gaussians, see ``SpotShape``, and both are means over the molecules' depths; apart from
    depth, the width is taken as constant.

    Parameters
    ----------
    fluorophore : Fluorophore
        The molecules.
    adu_per_photon : float
        Gain of the camera.

    Returns
    -------
    float
        Scale in ADU.
    """
    third = third_overlap(fluorophore.sigma_px, fluorophore.shape)
    second = second_overlap(fluorophore.sigma_px, fluorophore.shape)
    return adu_per_photon * fluorophore.cube_over_square_photons * third / second


def nominal_scale_adu(fluorophore: Fluorophore, adu_per_photon: float) -> float:
    """The scale that networks are trained for: it does not depend on how unlike molecules are.

    It is that of molecules with the same mean light and a usual spread, to which a client corrects
    what it estimates (`smlm_pipeline.compute.brightness`).

    Parameters
    ----------
    fluorophore, adu_per_photon
        As for `expected_scale_adu`.

    Returns
    -------
    float
        Scale in ADU.
    """
    alike = replace(fluorophore, photons_distribution="constant", photons_spread=0.0)
    return NOMINAL_OVER_ALIKE * expected_scale_adu(alike, adu_per_photon)


Axis = Callable[[float], NDArray[np.float64]]
"""Of a width: what is seen along one axis of a spot, for each of its places."""

Seen = tuple[Axis, Axis]
"""Along y and x."""


def seen_through(taps: NDArray[np.float64]) -> Seen:
    """What is seen of a spot by a filter along both axes."""
    axis = partial(filtered_profile, taps=taps)
    return axis, axis


def spot_overlap(sigma_px: float, shape: SpotShape, *seen: Seen) -> float:
    """Integral over the spot's place of the product of what is seen of it; mean over depths.

    Parameters
    ----------
    sigma_px : float
        Width of the core.
    shape : SpotShape
        Sum of Gaussians, so that the integral is a sum over all choices of one for each factor.
    seen : pairs of functions
        The factors.

    Returns
    -------
    float
        For one photon, 1/px^2 at two factors.
    """
    integral = 0.0
    for weight, wider_y, wider_x in shape.depths():
        factors = [
            [
                (share, along_y(sigma_px * width * wider_y), along_x(sigma_px * width * wider_x))
                for share, width in shape.parts
            ]
            for along_y, along_x in seen
        ]
        for parts in product(*factors):
            shares, along_y, along_x = zip(*parts, strict=True)
            integral += weight * math.prod(shares) * overlap(*along_y) * overlap(*along_x)
    return integral


def _pixel(row: int, column: int) -> Seen:
    return partial(profile, pixel=row), partial(profile, pixel=column)


def second_overlap(sigma_px: float, shape: SpotShape) -> float:
    """Of a pixel and its neighbour, the mean of the right and the lower one."""
    neighbours = (_pixel(0, 1), _pixel(1, 0))
    return sum(spot_overlap(sigma_px, shape, _pixel(0, 0), each) for each in neighbours) / 2


def third_overlap(sigma_px: float, shape: SpotShape) -> float:
    """Of three pixels of a square of two by two."""
    return spot_overlap(sigma_px, shape, _pixel(0, 0), _pixel(0, 1), _pixel(1, 0))


def fourth_overlap(sigma_px: float, shape: SpotShape) -> float:
    """Of the four pixels of a square of two by two."""
    return spot_overlap(sigma_px, shape, *(_pixel(row, column) for row, column in np.ndindex(2, 2)))
