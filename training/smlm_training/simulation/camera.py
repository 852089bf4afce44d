"""Cameras: photons in, uint16 ADU out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Camera(Protocol):
    """Turns the mean number of photons of a pixel into a reading."""

    @property
    def adu_per_photon(self) -> float | NDArray[np.float64]:
        """Gain of all pixels, or of each (Y, X)."""
        ...

    def expose(self, rng: np.random.Generator, photons: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Noisy frames in ADU, of the shape of ``photons``."""
        ...


@dataclass(frozen=True)
class Emccd:
    """Electron-multiplying CCD.

    Shot noise, then the gamma-distributed gain of the multiplication register
    (excess noise factor 2; Hirsch et al., doi 10.1371/journal.pone.0053671), then
    read noise. ``adu_per_photon`` is the reading of one photon after gain and
    analogue-to-digital conversion, as in ThunderSTORM's simulator.
    """

    adu_per_photon: float
    offset_adu: float
    read_noise_adu: float = 0.0

    def expose(self, rng: np.random.Generator, photons: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Noisy frames in ADU, of the shape of ``photons``."""
        electrons = rng.poisson(photons)
        multiplied = rng.standard_gamma(electrons + 1e-10)
        return _digitise(
            rng, multiplied * self.adu_per_photon, self.offset_adu, self.read_noise_adu
        )


@dataclass(frozen=True)
class Scmos:
    """Scientific CMOS: shot noise, then each pixel's own gain, offset and read noise.

    The maps have the shape (Y, X) of a frame, or are plain numbers for a camera
    whose pixels are alike.
    """

    adu_per_photon: float | NDArray[np.float64]
    offset_adu: float | NDArray[np.float64]
    read_noise_adu: float | NDArray[np.float64]

    def expose(self, rng: np.random.Generator, photons: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Noisy frames in ADU, of the shape of ``photons``."""
        signal_adu = rng.poisson(photons).astype(np.float64) * self.adu_per_photon
        return _digitise(rng, signal_adu, self.offset_adu, self.read_noise_adu)


def _digitise(
    rng: np.random.Generator,
    signal_adu: NDArray[np.float64],
    offset_adu: float | NDArray[np.float64],
    read_noise_adu: float | NDArray[np.float64],
) -> NDArray[np.uint16]:
    reading = signal_adu + offset_adu
    if np.any(read_noise_adu):
        reading = reading + rng.standard_normal(signal_adu.shape) * read_noise_adu
    clipped = np.clip(np.floor(reading), 0, np.iinfo(np.uint16).max)
    frames_adu: NDArray[np.uint16] = clipped.astype(np.uint16)
    return frames_adu
