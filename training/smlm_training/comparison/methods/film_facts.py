"""What the methods are told about a film: optics, camera, levels and mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXCESS_NOISE = {"emccd": 2.0, "scmos": 1.0}
"""Variance of a reading over that of its photons alone (doi 10.1371/journal.pone.0053671)."""


@dataclass(frozen=True)
class FilmFacts:
    """A film's facts, the same for all methods.

    Attributes
    ----------
    shape_px : tuple of int
        Height and width of the frames.
    pixel_size_nm : float
        Edge of a camera pixel in the sample.
    sigma_px : float
        Standard deviation of a spot before it is integrated over pixels.
    molecule_photons : float
        Photons of a typical molecule in a frame.
    adu_per_photon, offset_adu : float
        Gain and base level of the camera.
    excess_noise : float
        Of the camera: 2 for an EMCCD, 1 for others.
    levels_adu : ndarray, shape (2,), float32
        Background and scale, as the client estimates them.
    mean_adu : ndarray, shape (Y, X), float32
        Mean of the film's frames.
    """

    shape_px: tuple[int, int]
    pixel_size_nm: float
    sigma_px: float
    molecule_photons: float
    adu_per_photon: float
    offset_adu: float
    excess_noise: float
    levels_adu: NDArray[np.float32]
    mean_adu: NDArray[np.float32]

    @property
    def sampled_sigma_px(self) -> float:
        """Of the Gaussian that, sampled at pixel centres, is nearest to the integrated one."""
        return float(np.hypot(self.sigma_px, 12**-0.5))

    def photons(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Readings (N, Y, X) in photons, none of them negative."""
        return np.maximum(frames_adu - self.offset_adu, 0) / self.adu_per_photon
