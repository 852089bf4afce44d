"""Films of blinking molecules: structure -> optics -> camera.

========  ====================  ==========  ========  =================
stage     where                 array       dtype     unit
========  ====================  ==========  ========  =================
molecule  ``shine``             N,E         float64   px, photons
light     ``expected_photons``  N,H,W       float64   photons
reading   ``Camera.expose``     N,H,W       uint16    ADU
========  ====================  ==========  ========  =================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from smlm_training.camera import Camera
from smlm_training.structures import Structure


@dataclass(frozen=True)
class Emitters:
    """The molecules of each frame, padded to the fullest one.

    All arrays have the shape (N, E); a place that is not taken has zero photons.
    Positions are from the corner of the first pixel, ``sigma_px`` is the standard
    deviation of the spot.
    """

    y_px: NDArray[np.float64]
    x_px: NDArray[np.float64]
    photons: NDArray[np.float64]
    sigma_px: NDArray[np.float64]

    def inside(self, height_px: int, width_px: int) -> NDArray[np.bool_]:
        """Which places hold a molecule that lies in the field of view."""
        within_y = (self.y_px >= 0) & (self.y_px < height_px)
        within_x = (self.x_px >= 0) & (self.x_px < width_px)
        return (self.photons > 0) & within_y & within_x


@dataclass(frozen=True)
class Film:
    """Frames and what is true of them."""

    frames_adu: NDArray[np.uint16]
    emitters: Emitters


@dataclass(frozen=True)
class Fluorophore:
    """How bright a molecule is in one frame, and how wide its spot.

    Photons follow a gamma distribution with the given mean and relative standard
    deviation; the spot's sigma varies normally about its mean.
    """

    photons: float
    photons_spread: float
    sigma_px: float
    sigma_spread: float = 0.03


def shine(
    rng: np.random.Generator,
    structure: Structure,
    fluorophore: Fluorophore,
    frames: int,
) -> Emitters:
    """Molecules that shine in each of ``frames`` independent frames."""
    counts = rng.poisson(structure.expected_count(), frames)
    most = max(int(counts.max(initial=0)), 1)
    taken = np.arange(most) < counts[:, None]
    y_px, x_px, photons = (np.zeros((frames, most)) for _ in range(3))
    total = int(counts.sum())
    y_px[taken], x_px[taken] = structure.sample(rng, total)
    shape = 1 / fluorophore.photons_spread**2
    photons[taken] = rng.gamma(shape, fluorophore.photons / shape, total)
    spread = 1 + fluorophore.sigma_spread * rng.standard_normal((frames, most))
    return Emitters(y_px, x_px, photons, fluorophore.sigma_px * np.clip(spread, 0.7, 1.3))


def expected_photons(
    emitters: Emitters, height_px: int, width_px: int, *, integrated: bool = True
) -> NDArray[np.float64]:
    """Mean photons of every pixel from the molecules, without background.

    The spot is a two-dimensional Gaussian, integrated over each pixel
    (Smith et al., doi 10.1038/nmeth.1449) or sampled at its centre; both separate
    into a profile along y and one along x.

    Returns
    -------
    ndarray, shape (N, height_px, width_px), float64
    """
    profile = _integrated_profile if integrated else _sampled_profile
    along_y = profile(emitters.y_px, emitters.sigma_px, height_px)
    along_x = profile(emitters.x_px, emitters.sigma_px, width_px)
    weighted = along_y * emitters.photons[:, :, None]
    photons: NDArray[np.float64] = np.matmul(weighted.transpose(0, 2, 1), along_x)
    return photons


def _integrated_profile(
    centre_px: NDArray[np.float64], sigma_px: NDArray[np.float64], size_px: int
) -> NDArray[np.float64]:
    edges = np.arange(size_px + 1) - centre_px[:, :, None]
    below: NDArray[np.float64] = 0.5 * erf(edges / (np.sqrt(2) * sigma_px[:, :, None]))
    return np.diff(below, axis=2)


def _sampled_profile(
    centre_px: NDArray[np.float64], sigma_px: NDArray[np.float64], size_px: int
) -> NDArray[np.float64]:
    distance = (np.arange(size_px) + 0.5 - centre_px[:, :, None]) / sigma_px[:, :, None]
    height = 1 / (np.sqrt(2 * np.pi) * sigma_px[:, :, None])
    profile: NDArray[np.float64] = height * np.exp(-0.5 * distance**2)
    return profile


def film(
    rng: np.random.Generator,
    *,
    structure: Structure,
    fluorophore: Fluorophore,
    camera: Camera,
    background_photons: float | NDArray[np.float64],
    frames: int,
    height_px: int,
    width_px: int,
) -> Film:
    """A film of ``frames`` independent frames, and the truth."""
    emitters = shine(rng, structure, fluorophore, frames)
    photons = expected_photons(emitters, height_px, width_px) + background_photons
    return Film(camera.expose(rng, photons), emitters)
