"""Light in a table: in photons where the camera's gain is known, else in ADU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError

_BACKGROUND = "background_adu"

IN_ADU: Mapping[str, str] = MappingProxyType(
    {
        "intensity_adu": "photons",
        "uncertainty_intensity_adu": "uncertainty_photons",
        _BACKGROUND: "background_photons",
    }
)
"""Columns of tables in ADU, and those that state the same in photons."""


@dataclass(frozen=True)
class CameraEstimate:
    """Where gain and offset of a camera were estimated, and how certain they are.

    ``file`` is the name of the preset of ``recon-train match`` that states them, ``film`` the name
    of the film that they were estimated from, and ``camera`` the kind that was assumed: the gain of
    an EMCCD's film is half of that which an sCMOS would have by the same noise.
    ``gain_error_adu_per_photon`` and ``offset_error_adu`` are standard errors: 0 for a number that
    the user gave to match, and None for one that is not stated.
    """

    file: str
    film: str
    camera: str
    gain_error_adu_per_photon: float | None = None
    offset_error_adu: float | None = None


@dataclass(frozen=True)
class CameraUnits:
    """What turns a camera's readings into photons.

    ``gain_adu_per_photon`` is all of the gain from a detected photon to ADU, that of an EMCCD's
    multiplication included: the EM gain over the electrons per ADU. ``offset_adu`` is the reading
    without light; None where it is not known. ``estimate`` is where both were estimated; None
    where the user gave them.

    Raises
    ------
    SettingError
        If the gain is not positive, or a number is not finite.
    """

    gain_adu_per_photon: float
    offset_adu: float | None = None
    estimate: CameraEstimate | None = None

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

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CameraUnits:
        """The camera that `as_dict` stated.

        Raises
        ------
        KeyError or TypeError
            If there is no gain, or a field is unknown.
        """
        estimate = facts.get("camera_estimate")
        return cls(
            facts["gain_adu_per_photon"],
            facts["offset_adu"],
            None if estimate is None else CameraEstimate(**estimate),
        )

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON; no ``camera_estimate`` where the user gave the numbers."""
        facts = asdict(self)
        estimate = facts.pop("estimate")
        return facts if estimate is None else {**facts, "camera_estimate": estimate}

    @property
    def columns(self) -> dict[str, str]:
        """Those of `IN_ADU` that this camera turns into photons."""
        return {
            name: photons
            for name, photons in IN_ADU.items()
            if name != _BACKGROUND or self.offset_adu is not None
        }

    def doubts(self, level_adu: float, source: str) -> tuple[str, ...]:
        """A note on an offset above a film's level, by which its background would be negative.

        Parameters
        ----------
        level_adu : float
            The film's usual level without molecules, in ADU.
        source : str
            Where that level is from, for the note.
        """
        if self.offset_adu is None or level_adu >= self.offset_adu:
            return ()
        below = (level_adu - self.offset_adu) / self.gain_adu_per_photon
        return (
            f"the offset of {self.offset_adu:g} ADU is above the level of {source}, "
            f"{level_adu:,.1f} ADU, so the background in photons is negative ({below:,.1f} a "
            "pixel); expected the camera's reading without light: check --offset-adu, or the "
            "file of --camera",
        )

    @property
    def option(self) -> str:
        """The option of the command line that gives the gain."""
        return "--gain-adu-per-photon" if self.estimate is None else "--camera"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of photons by an estimate."""
        if self.estimate is None:
            return ()
        found = self.estimate
        gain = f"gain {_stated(self.gain_adu_per_photon, found.gain_error_adu_per_photon)}"
        offset = "no offset, so the table has no background in photons"
        if self.offset_adu is not None:
            offset = f"offset {_stated(self.offset_adu, found.offset_error_adu)} ADU"
        return (
            f"photons are by the camera in {found.file}, which recon-train match --camera "
            f"{found.camera} estimated from {found.film}: {gain} ADU a photon, {offset}",
        )


def _stated(value: float, error: float | None) -> str:
    """A number with its standard error, or as given to match."""
    if error is None:
        return f"{value:g} (of unknown error)"
    return f"{value:g} ± {error:g}" if error else f"{value:g} (given to match)"


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
    columns = {
        "intensity_adu": intensity_adu,
        "uncertainty_intensity_adu": sigma_intensity_adu,
        "background_adu": background_adu,
    }
    return columns if camera is None else in_photons(columns, camera)


def in_photons(
    columns: Mapping[str, NDArray[Any]], camera: CameraUnits
) -> dict[str, NDArray[np.float64]]:
    """Columns with those of `IN_ADU` replaced by their like in photons.

    A background needs the camera's offset, and is left out without it. A value that is in photons
    already stays.

    Parameters
    ----------
    columns : Mapping of str to ndarray, shape (K,)
        Columns of `rows.COLUMNS`.
    camera : CameraUnits
        That of the film.
    """
    found = {name: values for name, values in columns.items() if name not in IN_ADU}
    for name, name_photons in camera.columns.items():
        if name not in columns:
            continue
        dark_adu = (camera.offset_adu or 0.0) if name == _BACKGROUND else 0.0
        photons = (columns[name] - dark_adu) / camera.gain_adu_per_photon
        known = found.get(name_photons)
        found[name_photons] = photons if known is None else np.where(known == known, known, photons)
    return found
