"""Cameras of the films: an EMCCD and an sCMOS whose pixels differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError

CameraKind = Literal["emccd", "scmos"]


@dataclass(frozen=True)
class Camera:
    """From mean photons to readings.

    ``gain_adu`` a photon, ``offset_adu`` and ``read_noise_adu`` are numbers, or maps (Y, X).
    ``multiplies`` is true for an EMCCD, whose register doubles the variance of the photons
    (doi 10.1371/journal.pone.0053671).
    """

    gain_adu: NDArray[np.float64] | float
    offset_adu: NDArray[np.float64] | float
    read_noise_adu: NDArray[np.float64] | float
    multiplies: bool

    @property
    def excess_noise(self) -> float:
        """Variance of a reading over that of its photons alone."""
        return 2.0 if self.multiplies else 1.0

    @property
    def read_noise_photons(self) -> float:
        """Root mean square of the read noise, in photons."""
        return float(np.sqrt(np.mean((self.read_noise_adu / np.asarray(self.gain_adu)) ** 2)))

    def expose(
        self, rng: np.random.Generator, photons: NDArray[np.floating[Any]]
    ) -> NDArray[np.uint16]:
        """Readings (T, Y, X) in ADU of mean photons (T, Y, X)."""
        electrons = rng.poisson(photons).astype(np.float64)
        if self.multiplies:  # the sum of n exponential gains; none of no electron
            electrons = np.where(electrons > 0, rng.gamma(np.maximum(electrons, 1)), 0.0)
        read = rng.normal(size=photons.shape) * self.read_noise_adu
        reading = np.rint(electrons * self.gain_adu + self.offset_adu + read)
        frames_adu: NDArray[np.uint16] = np.clip(reading, 0, 2**16 - 1).astype(np.uint16)
        return frames_adu


def camera(kind: CameraKind, rng: np.random.Generator, edge_px: int) -> Camera:
    """The camera of a film; the pixels of an sCMOS chip are drawn.

    Raises
    ------
    SettingError
        If there is no such kind.
    """
    if kind == "emccd":
        return Camera(9.0, 180.0, 12.0, multiplies=True)
    if kind == "scmos":
        shape = (edge_px, edge_px)
        gain = 2.2 * (1 + 0.02 * rng.normal(size=shape))
        offset = 100 + 1.5 * rng.normal(size=shape)
        noise = 1.4 * 2.2 * np.exp(0.3 * rng.normal(size=shape))
        return Camera(gain, offset, noise, multiplies=False)
    raise SettingError(f"camera is {kind!r}; expected one of {', '.join(get_args(CameraKind))}")
