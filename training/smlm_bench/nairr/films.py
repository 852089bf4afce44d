"""The benchmark films: 200 emitters on a circle that blink and bleach, simulated by its parameters.

They are those of NAIRR-SMLM (github.com/SunCCNY/NAIRR-SMLM, 2DGauss_* and 2DAiry_*). The circle of
LD has emitters 80 nm apart in the published table of emitters, though its page says 30 nm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.structures.cameras import Camera
from smlm_bench.structures.optics import PUPIL_SIGMAS, Optics, gaussian, optics
from smlm_bench.structures.shape import FIELD_PX, PIXEL_SIZE_NM

FRAMES = 1000
FRAME_S = 0.01
EMITTERS = 200
PHOTONS = 3000.0
BACKGROUND_PHOTONS = 500.0
BLEACHED_AFTER_S = 10.0

_GAUSS_SIGMA_NM = 108.81
_NUMERICAL_APERTURE, _WAVELENGTH_NM = 1.43, 665.0
_CAMERA = Camera(1.0, 500.0, 300.0**0.5, multiplies=False)


@dataclass(frozen=True)
class Density:
    """Kinetics and circle of a benchmark: LD, MD or HD.

    A molecule is dark for ``dark_s`` and shines for ``bright_s`` on average; neighbours on the
    circle are ``gap_nm`` apart.
    """

    dark_s: float
    bright_s: float
    gap_nm: float


DENSITIES = {
    "LD": Density(0.60, 0.015, 80.0),
    "MD": Density(0.55, 0.035, 50.0),
    "HD": Density(0.50, 0.040, 30.0),
}

PSFS = ("2DGauss", "2DAiry")


@dataclass(frozen=True)
class BenchmarkFilm:
    """Frames (T, Y, X) uint16, and the places (200, 2) of the emitters, y and x in nm.

    ``shining`` counts the emitters that shine, summed over the frames.
    """

    frames_adu: NDArray[np.uint16]
    emitters_nm: NDArray[np.float64]
    shining: int


def benchmark_film(psf: str, density: str, *, frames: int = FRAMES, seed: int = 0) -> BenchmarkFilm:
    """Simulate a benchmark film.

    Parameters
    ----------
    psf : str
        One of ``PSFS``.
    density : str
        One of ``DENSITIES``.
    frames : int
        Length of the film; the benchmark's is ``FRAMES``.
    seed : int
        Of all randomness; each PSF and density has its own.
    """
    rng = np.random.default_rng([seed, PSFS.index(psf), list(DENSITIES).index(density)])
    place_px = circle_px(DENSITIES[density].gap_nm)
    frame, emitter = np.nonzero(shining(rng, DENSITIES[density], frames))
    light = _optics(psf).film(
        frame.astype(np.int64),
        place_px[emitter],
        np.full(len(frame), PHOTONS),
        np.zeros(len(frame), np.int64),
        frames,
    )
    light += np.float32(BACKGROUND_PHOTONS)
    return BenchmarkFilm(_CAMERA.expose(rng, light), place_px * PIXEL_SIZE_NM, len(frame))


def circle_px(gap_nm: float) -> NDArray[np.float64]:
    """Places (200, 2), y and x, on a circle about the middle of the field."""
    radius_px = EMITTERS * gap_nm / (2 * np.pi) / PIXEL_SIZE_NM
    angle = 2 * np.pi * np.arange(EMITTERS) / EMITTERS
    places: NDArray[np.float64] = FIELD_PX / 2 + radius_px * np.stack(
        [np.sin(angle), np.cos(angle)], axis=1
    )
    return places


def shining(rng: np.random.Generator, density: Density, frames: int) -> NDArray[np.bool_]:
    """Whether each emitter shines in each frame, (T, 200).

    A Markov chain in steps of a frame, stationary at first; an emitter that bleaches stays dark.
    """
    comes, leaves, bleaches = (
        1 - np.exp(-FRAME_S / mean_s)
        for mean_s in (density.dark_s, density.bright_s, BLEACHED_AFTER_S)
    )
    shines = np.zeros((frames, EMITTERS), bool)
    lives = np.ones(EMITTERS, bool)
    state = rng.uniform(size=EMITTERS) < comes / (comes + leaves)
    for row in shines:
        row[:] = state & lives
        chance = rng.uniform(size=EMITTERS)
        state = np.where(state, chance >= leaves, chance < comes)
        lives &= rng.uniform(size=EMITTERS) >= bleaches
    return shines


def _optics(psf: str) -> Optics:
    if psf == "2DGauss":
        return gaussian(_GAUSS_SIGMA_NM / PIXEL_SIZE_NM)
    pupil_per_px = _NUMERICAL_APERTURE / _WAVELENGTH_NM * PIXEL_SIZE_NM
    return optics("airy", PUPIL_SIGMAS / pupil_per_px)
