"""Light in a table: in photons where the camera's gain is known, else in ADU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError


@dataclass(frozen=True)
class CameraUnits:
    """What turns a camera's readings into photons.

    ``gain_adu_per_photon`` is all of the gain from a detected photon to ADU, that of an EMCCD's
    multiplication included: the EM gain over the electrons per ADU. ``offset_adu`` is the reading
    without light; None where it is not known.

    Raises
    ------
    SettingError
        If the gain is not positive, or a number is not finite.
    """

    gain_adu_per_photon: float
    offset_adu: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.gain_adu_per_photon < math.inf:
            raise SettingError(
                f"gain-adu-per-photon is {self.gain_adu_per_photon:g}; expected a positive number: "
                "the ADU that one detected photon gives on average, EM gain included"
            )
        if self.offset_adu is not None and not math.isfinite(self.offset_adu):
            raise SettingError(
                f"offset-adu is {self.offset_adu:g}; expected a number: the camera's reading "
                "without light"
            )


def light_columns(
    intensity_adu: NDArray[np.float64],
    sigma_intensity_adu: NDArray[np.float64],
    background_adu: NDArray[np.float64],
    camera: CameraUnits | None,
) -> dict[str, NDArray[np.float64]]:
    """The columns of `rows.COLUMNS` that state light.

    Parameters
    ----------
    intensity_adu, sigma_intensity_adu : ndarray, shape (K,), float64
        Light of each molecule, summed over its spot, and the standard deviation of its error.
    background_adu : ndarray, shape (K,), float64
        Level of each molecule's frame without molecules, the camera's offset included.
    camera : CameraUnits, optional
        By default everything stays in ADU.
    """
    if camera is None:
        return {
            "intensity_adu": intensity_adu,
            "uncertainty_intensity_adu": sigma_intensity_adu,
            "background_adu": background_adu,
        }
    gain = camera.gain_adu_per_photon
    columns = {
        "photons": intensity_adu / gain,
        "uncertainty_photons": sigma_intensity_adu / gain,
    }
    if camera.offset_adu is not None:
        columns["background_photons"] = (background_adu - camera.offset_adu) / gain
    return columns
