"""Optics and camera of a film, as methods get them: stated by the user, or estimated."""

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
from smlm_pipeline.film.survey import prepared
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.estimates import Estimates, KnownCamera, Value, estimate
from smlm_training.matching.sampling import FRAMES_MAX, FRAMES_MIN, SIZE_PX_MIN

STATED, ESTIMATED, OF_FILE, ASSUMED = "told", "estimated", "the film's file", "assumed"
"""Sources of a fact, in the words of published tables."""

_ORIGINS = {"given": STATED, "file": OF_FILE, "assumed": ASSUMED}
"""Those of a pixel size, by `smlm_pipeline.film.film.PixelSize.origin`."""

_ESTIMATES = {
    "sigma_px": "sigma_px",
    "molecule_photons": "photons",
    "gain_adu_per_photon": "gain_adu_per_photon",
    "offset_adu": "offset_adu",
}
"""Facts that can be estimated: their names in ``Known`` and in ``Estimates``."""


@dataclass(frozen=True)
class Known:
    """Optics and camera as the user states them; a fact that is None is estimated."""

    camera: str = "emccd"
    pixel_size_nm: float | None = None
    sigma_px: float | None = None
    molecule_photons: float | None = None
    gain_adu_per_photon: float | None = None
    offset_adu: float | None = None


@dataclass(frozen=True)
class Facts:
    """Values by their names in ``Known``, the source of each, and notes on the film."""

    values: Mapping[str, float]
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()


def facts(film: Film, known: Known) -> Facts:
    """Complete what the user states by estimates from the whole film.

    Parameters
    ----------
    film : Film
        The film.
    known : Known
        What the user states.

    Returns
    -------
    Facts
        Values and their sources.

    Raises
    ------
    SettingError
        If facts are neither stated nor in the film: the message names all of them.
    FilmError
        If the film's pixels are not square and no size is stated.
    """
    if known.camera not in EXCESS_NOISE:
        raise SettingError(f"camera is {known.camera!r}; expected one of {', '.join(EXCESS_NOISE)}")
    stated = {name: getattr(known, name) for name in _ESTIMATES}
    missing = [name for name, value in stated.items() if value is None]
    values = {name: value for name, value in stated.items() if value is not None}
    values |= _estimated(film, known, missing) if missing else {}
    sources = {name: ESTIMATED if name in missing else STATED for name in _ESTIMATES}
    pixel_size = film.pixel_size(known.pixel_size_nm)
    values["pixel_size_nm"] = pixel_size.nm
    sources["pixel_size_nm"] = _ORIGINS[pixel_size.origin]
    return Facts(values, sources, (*film.warnings, *film.notes, *pixel_size.notes))


def film_facts(frames_adu: NDArray[np.uint16], known: Facts, camera: str) -> FilmFacts:
    """Add the levels of frames (T, Y, X) to the facts of their film."""
    return FilmFacts(
        shape_px=(frames_adu.shape[1], frames_adu.shape[2]),
        pixel_size_nm=known.values["pixel_size_nm"],
        sigma_px=known.values["sigma_px"],
        molecule_photons=known.values["molecule_photons"],
        adu_per_photon=known.values["gain_adu_per_photon"],
        offset_adu=known.values["offset_adu"],
        excess_noise=EXCESS_NOISE[camera],
        levels_adu=np.median(prepared(frames_adu)[1], axis=0),
    )


def sources_of(known: Facts, camera: str) -> dict[str, str]:
    """List the source of each of ``FilmFacts``, by its name there."""
    sources = dict(known.sources)
    sources["adu_per_photon"] = sources.pop("gain_adu_per_photon")
    return {**sources, "excess_noise": f"camera {camera}", "levels_adu": ESTIMATED}


def _estimated(film: Film, known: Known, missing: list[str]) -> dict[str, float]:
    """Estimate facts, as ``recon-train match`` does, from frames of the whole film."""
    short = film.frame_count < FRAMES_MIN
    if short or min(film.height_px, film.width_px) < SIZE_PX_MIN:
        size = f"{film.frame_count} frames of {film.height_px} x {film.width_px} pixels"
        least = f"{FRAMES_MIN} of {SIZE_PX_MIN} x {SIZE_PX_MIN}"
        raise _unknown(missing, f"{size} are too few; expected at least {least}")
    chosen = spread_evenly(film.frame_count, FRAMES_MAX)
    frames_adu = np.concatenate([film.read(index, index + 1) for index in chosen])
    try:
        estimates = _quiet_estimate(frames_adu, known)
    except FilmError as error:
        raise _unknown(missing, str(error)) from error
    values = {name: _value(estimates, name) for name in missing}
    unsure = [name for name, value in values.items() if not value.relative_error < 1]
    if unsure:
        raise _unknown(unsure, "'recon-train match' states the error of each")
    return {name: value.value for name, value in values.items()}


def _quiet_estimate(frames_adu: NDArray[np.uint16], known: Known) -> Estimates:
    """Estimate without warnings about what is not a number where the film lacks it."""
    camera = KnownCamera(KINDS[known.camera], known.gain_adu_per_photon, known.offset_adu)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return estimate(frames_adu, camera)


def _value(estimates: Estimates, name: str) -> Value:
    value: Value = getattr(estimates, _ESTIMATES[name])
    return value


def _unknown(names: list[str], reason: str) -> SettingError:
    options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
    return SettingError(
        f"{', '.join(names)} cannot be estimated from the film ({reason}); state them with "
        f"{options}"
    )
