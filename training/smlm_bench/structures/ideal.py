"""The ideal localiser: every emitter is found, with the error of the Cramer-Rao bound.

It sees each emitter alone, so no method that localises emitters one by one is better at any
density. It separates how hard a film is from how well a network does: every score of a network
stands beside the ideal one. Refinement, which uses that molecules share a structure, may pass it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.cameras import Camera
from smlm_bench.structures.films import SuiteFilm
from smlm_bench.structures.optics import PHASES, Optics
from smlm_bench.structures.shape import FIELD_PX
from smlm_pipeline.localise.table import Molecules

_LEVELS = 24
_PLACES = (0, PHASES // 4, PHASES // 2)
_STEP_PX = 1 / PHASES


def bounds_px(
    seen_by: Optics,
    taken_by: Camera,
    *,
    photons: NDArray[np.float64],
    plane: NDArray[np.int64],
    background_photons: float,
) -> NDArray[np.float64]:
    """Cramer-Rao bounds of the places of lone emitters of known brightness.

    For Poisson noise with a read noise of variance r^2, the Fisher information of a coordinate is
    the sum over pixels of (N h')^2 / (N h + b + r^2), over the camera's excess noise
    (doi 10.1038/nmeth.1447). It is the mean over some places within a pixel.

    Parameters
    ----------
    seen_by, taken_by : Optics and Camera
        How the film is taken.
    photons, plane : ndarray, shape (K,)
        Of each emitter.
    background_photons : float
        A pixel's background.

    Returns
    -------
    ndarray, shape (K, 2), float64
        Standard deviations along y and x, in camera pixels.
    """
    levels = np.geomspace(photons.min(), photons.max() + 1, _LEVELS)
    noise = background_photons + taken_by.read_noise_photons**2
    found = np.empty((len(photons), 2))
    for number in range(seen_by.planes):
        information = _information(seen_by, number, levels, noise) / taken_by.excess_noise
        here = plane == number
        for axis in range(2):
            sigma_px = information[:, axis] ** -0.5
            found[here, axis] = np.exp(
                np.interp(np.log(photons[here]), np.log(levels), np.log(sigma_px))
            )
    return found


def _information(
    seen_by: Optics, plane: int, levels: NDArray[np.float64], noise: float
) -> NDArray[np.float64]:
    """Fisher information (levels, 2) along y and x, in 1/px^2, without excess noise."""
    table = seen_by.tables[plane].astype(np.float64)
    total = np.zeros((len(levels), 2))
    for row in _PLACES:
        for column in _PLACES:
            image = table[row + 1, column + 1]
            slopes = (
                (table[row + 2, column + 1] - table[row, column + 1]) / (2 * _STEP_PX),
                (table[row + 1, column + 2] - table[row + 1, column]) / (2 * _STEP_PX),
            )
            for level, photons in enumerate(levels):
                expected = photons * image + noise
                total[level] += [float(((photons * each) ** 2 / expected).sum()) for each in slopes]
    return total / len(_PLACES) ** 2


def ideal_molecules(film: SuiteFilm) -> Molecules:
    """The emitters of a film at places that err by their bounds; some leave the field."""
    emitters, line = film.emitters, film.line
    sigma_px = bounds_px(
        film.optics,
        film.camera,
        photons=emitters.photons,
        plane=emitters.plane,
        background_photons=line.background_photons,
    )
    rng = np.random.default_rng([line.seed, 1])
    place_px = emitters.place_px + sigma_px * rng.normal(size=sigma_px.shape)
    place_px = np.clip(place_px, 0, np.nextafter(FIELD_PX, 0))
    return replace(emitters, place_px=place_px).molecules()
