"""What methods are told of a film: as the user says, or estimated from all of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.method import EXCESS_NOISE, FilmFacts
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import levels_of, mean_of
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.estimates import Estimates, KnownCamera, Value, estimate
from smlm_training.matching.sampling import FRAMES_MAX, FRAMES_MIN, SIZE_PX_MIN

DEFAULT_PIXEL_NM = 100.0

TOLD, ESTIMATED, OF_FILE, ASSUMED = "told", "estimated", "the film's file", "assumed"
"""Where a fact can be from."""

_ESTIMATES = {
    "sigma_px": "sigma_px",
    "molecule_photons": "photons",
    "gain_adu_per_photon": "gain_adu_per_photon",
    "offset_adu": "offset_adu",
}
"""What can be estimated: as the user says it, and as ``Estimates`` does."""


@dataclass(frozen=True)
class Known:
    """What the user says of optics and camera; what is None is estimated from the film."""

    camera: str = "emccd"
    pixel_size_nm: float | None = None
    sigma_px: float | None = None
    molecule_photons: float | None = None
    gain_adu_per_photon: float | None = None
    offset_adu: float | None = None


@dataclass(frozen=True)
class Told:
    """Values by their names in ``Known``, and where each is from."""

    values: Mapping[str, float]
    sources: Mapping[str, str]


def told_facts(film: Film, known: Known) -> Told:
    """All that methods are told of optics and camera.

    Raises
    ------
    SettingError
        If the film does not tell what was left out of ``known``: all of it is named.
    """
    if known.camera not in EXCESS_NOISE:
        raise SettingError(f"camera is {known.camera!r}; expected one of {', '.join(EXCESS_NOISE)}")
    said = {name: getattr(known, name) for name in _ESTIMATES}
    left_out = [name for name, value in said.items() if value is None]
    values = {name: value for name, value in said.items() if value is not None}
    values |= _estimated(film, known, left_out) if left_out else {}
    sources = {name: ESTIMATED if name in left_out else TOLD for name in _ESTIMATES}
    values["pixel_size_nm"] = known.pixel_size_nm or film.pixel_size_nm or DEFAULT_PIXEL_NM
    sources["pixel_size_nm"] = TOLD if known.pixel_size_nm else OF_FILE
    if not (known.pixel_size_nm or film.pixel_size_nm):
        sources["pixel_size_nm"] = ASSUMED
    return Told(values, sources)


def film_facts(frames_adu: NDArray[np.uint16], told: Told, camera: str) -> FilmFacts:
    """Facts of frames (T, Y, X): what was told, with their own levels and mean."""
    return FilmFacts(
        shape_px=(frames_adu.shape[1], frames_adu.shape[2]),
        pixel_size_nm=told.values["pixel_size_nm"],
        sigma_px=told.values["sigma_px"],
        molecule_photons=told.values["molecule_photons"],
        adu_per_photon=told.values["gain_adu_per_photon"],
        offset_adu=told.values["offset_adu"],
        excess_noise=EXCESS_NOISE[camera],
        levels_adu=levels_of(frames_adu),
        mean_adu=mean_of(frames_adu),
    )


def facts_from(told: Told, camera: str) -> dict[str, str]:
    """Where each of ``FilmFacts`` is from, by the names that these have."""
    sources = dict(told.sources)
    sources["adu_per_photon"] = sources.pop("gain_adu_per_photon")
    return {**sources, "excess_noise": f"camera {camera}", "levels_adu": ESTIMATED}


def _estimated(film: Film, known: Known, left_out: list[str]) -> dict[str, float]:
    """What was not told, as ``recon-train match`` estimates it, from frames of all the film."""
    short = film.frame_count < FRAMES_MIN
    if short or min(film.height_px, film.width_px) < SIZE_PX_MIN:
        size = f"{film.frame_count} frames of {film.height_px} x {film.width_px} pixels"
        least = f"{FRAMES_MIN} of {SIZE_PX_MIN} x {SIZE_PX_MIN}"
        raise _not_told(left_out, f"{size} are too few; expected at least {least}")
    chosen = spread_evenly(film.frame_count, FRAMES_MAX)
    frames_adu = np.concatenate([film.read(index, index + 1) for index in chosen])
    try:
        found = _quiet_estimate(frames_adu, known)
    except FilmError as error:
        raise _not_told(left_out, str(error)) from error
    values = {name: _value(found, name) for name in left_out}
    unsure = [name for name, value in values.items() if not value.relative_error < 1]
    if unsure:
        raise _not_told(unsure, "'recon-train match' says how sure it is of each")
    return {name: value.value for name, value in values.items()}


def _quiet_estimate(frames_adu: NDArray[np.uint16], known: Known) -> Estimates:
    """Estimates, which are not numbers where the film does not tell them: no warnings beside."""
    camera = KnownCamera(KINDS[known.camera], known.gain_adu_per_photon, known.offset_adu)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return estimate(frames_adu, camera)


def _value(found: Estimates, name: str) -> Value:
    value: Value = getattr(found, _ESTIMATES[name])
    return value


def _not_told(names: list[str], reason: str) -> SettingError:
    options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
    return SettingError(
        f"the film does not tell its {', '.join(names)} ({reason}); give what is missing with "
        f"{options}"
    )
