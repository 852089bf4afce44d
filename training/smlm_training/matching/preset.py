"""Turn estimates into a preset for ``recon-train fit --preset FILE``."""

from __future__ import annotations

import math
from typing import Any

from smlm_training.fitting.ranges import Ranges
from smlm_training.fitting.structures import FILLED_SHARE
from smlm_training.matching.camera_levels import CameraKind
from smlm_training.matching.crowding import line_width_px
from smlm_training.matching.estimates import Estimates, Value
from smlm_training.simulation.bounds import Range

LEAST_SHARE = 0.1
"""Least width of a range to either side of an estimate, relative to it."""

_KNOWN_SHARE = 0.5
"""Estimates with a larger relative error are omitted, and the base's range holds."""

_BACKGROUND_PHOTONS_MIN = 0.5
_BACKGROUND_ERROR_MAX_PHOTONS = 20.0
_SPREAD_RANGE = (0.05, 1.0)
_SPREAD_ERROR_MAX = 0.12
_HALO_ERROR_MAX = 0.05
_ON_FRAMES_ERROR_MAX = 0.2
_HALO_WIDTH_FACTOR = 1.4
"""To either side: the width of a halo is measured roughly."""
_BLEACHED_SHARE = 0.5
"""Of the mean density: later in the film, or in the next one, fewer emitters are on."""


def is_known(name: str, value: Value) -> bool:
    """Whether the estimate of the field ``name`` is precise enough to train by.

    Background may be close to zero: an upper bound on it is useful, too.
    """
    if name == "photons_spread":
        return value.error < _SPREAD_ERROR_MAX
    if name == "halo_light":
        return value.error < _HALO_ERROR_MAX
    if name == "on_frames" and not value.value:
        return value.error < _ON_FRAMES_ERROR_MAX
    if name == "background_photons":
        return value.error < max(_KNOWN_SHARE * value.value, _BACKGROUND_ERROR_MAX_PHOTONS)
    return value.relative_error < _KNOWN_SHARE


def preset(
    estimates: Estimates, crowding: Range, kind: CameraKind, source: dict[str, Any]
) -> dict[str, Any]:
    """Fields of the recipe that this film changes, and their source.

    Parameters
    ----------
    estimates : Estimates
        Of the film.
    crowding : tuple of float
        Density of rather empty and of the fullest places, relative to the mean.
    kind : CameraKind
        Of the camera.
    source : dict
        Further entries of ``measured_from``.

    Returns
    -------
    dict
        For JSON. Densities are per square micrometre of 100 nm pixels, as in the simulator:
        a hundred times those per pixel, independent of the film's pixel size.
    """
    ranges, shares = _optics_and_blinks(estimates)
    emitters_max = Ranges.emitters_max
    for name in ("sigma_px", "photons", "offset_adu"):
        value: Value = getattr(estimates, name)
        if is_known(name, value):
            ranges[name] = _about(value)
    if is_known("photons_spread", estimates.photons_spread):
        about = _about(estimates.photons_spread, additive=True)
        ranges["photons_spread"] = _inside(about, *_SPREAD_RANGE)
    if is_known("background_photons", estimates.background_photons):
        about = _about(estimates.background_photons, additive=True)
        ranges["background_photons"] = _inside(about, _BACKGROUND_PHOTONS_MIN, float("inf"))
    if is_known("density_per_px2", estimates.density_per_px2):
        densities, emitters_max = _densities(estimates, crowding)
        ranges |= densities
    if is_known("gain_adu_per_photon", estimates.gain_adu_per_photon):
        ranges[f"{kind.name}_adu_per_photon"] = _about(estimates.gain_adu_per_photon)
    return {
        "base": "finish",
        "ranges": {
            **{name: [_rounded(low), _rounded(high)] for name, (low, high) in ranges.items()},
            **shares,
            "emitters_max": emitters_max,
            "emccd_share": 1.0 if kind.name == "emccd" else 0.0,
        },
        "measured_from": {**source, **_measured(estimates)},
    }


def _optics_and_blinks(estimates: Estimates) -> tuple[dict[str, Range], dict[str, float]]:
    """Ranges and shares of films by the form of the spot and the length of blinks."""
    ranges: dict[str, Range] = {}
    shares: dict[str, float] = {}
    if is_known("spot_ratio", estimates.spot_ratio):
        ranges["spot_ratio"], shares["elliptic_share"] = _about(estimates.spot_ratio), 1.0
    if is_known("halo_light", estimates.halo_light) and estimates.halo_light.value:
        width, shares["halo_share"] = estimates.halo_width, 1.0
        ranges["halo_light"] = _inside(_about(estimates.halo_light, additive=True), 0.01, 0.9)
        ranges["halo_width"] = max(width / _HALO_WIDTH_FACTOR, 1.0), width * _HALO_WIDTH_FACTOR
    if is_known("on_frames", estimates.on_frames):
        shares["blinking_share"] = float(estimates.on_frames.value > 0)
        if estimates.on_frames.value:
            ranges["on_frames"] = _about(estimates.on_frames)
    return ranges, shares


def _about(value: Value, *, additive: bool = False) -> Range:
    """Two errors to either side, as factors or as steps, and at least ``LEAST_SHARE``."""
    least_low, least_high = value.value * (1 - LEAST_SHARE), value.value * (1 + LEAST_SHARE)
    if additive:
        low, high = value.value - 2 * value.error, value.value + 2 * value.error
    else:
        factor = 1 + 2 * value.relative_error
        low, high = value.value / factor, value.value * factor
    return min(low, least_low), max(high, least_high)


def _inside(bounds: Range, low: float, high: float) -> Range:
    """Bounds clipped to possible values; not empty where they are all outside."""
    first = min(max(bounds[0], low), high)
    return first, min(max(bounds[1], first * (1 + LEAST_SHARE)), high)


def _densities(estimates: Estimates, crowding: Range) -> tuple[dict[str, Range], int]:
    """Densities per area and per line, from sparse places or times to the fullest.

    The second result is the number of emitters that a patch needs places for, so that none is
    thinned out. A line's density is that of a lone line as full as those places.
    """
    least, most = _about(estimates.density_per_px2)
    emptiest = min(max(crowding[0], _BLEACHED_SHARE / 5), _BLEACHED_SHARE)
    width_px = line_width_px(estimates.sigma_px.value)
    areas = 100 * least * emptiest, 100 * most * crowding[1]
    lines = 10 * width_px * least * _BLEACHED_SHARE, 10 * width_px * most * crowding[1]
    fullest = areas[1] * (Ranges.patch_px / 10) ** 2 / FILLED_SHARE
    places = max(math.ceil(fullest), Ranges.emitters_max)
    return {"density_per_um2": areas, "density_per_um": lines}, places


def _measured(estimates: Estimates) -> dict[str, dict[str, float]]:
    values = {name: value for name, value in vars(estimates).items() if isinstance(value, Value)}
    known = {name: value for name, value in values.items() if is_known(name, value)}
    return {
        "values": {name: _rounded(value.value) for name, value in known.items()},
        "uncertainties": {name: _rounded(value.error) for name, value in known.items()},
    }


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
