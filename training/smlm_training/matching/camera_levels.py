"""Estimate gain and offset from the photon-transfer line: noise against light, pixel by pixel.

Janesick's photon transfer (doi 10.1117/3.725073) needs constant light; here it blinks. So noise
is measured through a filter that is finer than the optics. The small part of a spot that passes
the filter follows from the spot's width and is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smlm_training.fitting.ranges import Ranges
from smlm_training.matching.moments import NOISE_TAPS, Moments
from smlm_training.matching.psf_width import Spot
from smlm_training.simulation.bounds import Range
from smlm_training.simulation.spot import seen_through, spot_overlap, third_overlap

_KEPT_LIGHT = float((NOISE_TAPS**4).sum() ** 2)
"""Share of a pixel's noise in its light, which is a weighted mean over neighbours."""


@dataclass(frozen=True)
class CameraKind:
    """Prior knowledge of a kind of camera.

    ``excess`` is the variance of one photon's reading, plus one, in squared gains;
    ``skew`` the noise's third cumulant times its mean, in squared variances.
    ``read_noise`` is the range of training, in ADU or in photons.
    """

    name: str
    excess: float
    skew: float
    read_noise: Range
    read_noise_in_photons: bool


KINDS = {
    "emccd": CameraKind("emccd", 2.0, 1.5, Ranges().emccd_read_noise_adu, False),
    "scmos": CameraKind("scmos", 1.0, 1.0, Ranges().scmos_read_noise_photons, True),
}
"""By the name on the command line. An EMCCD's register doubles the variance (Hirsch et al.,
doi 10.1371/journal.pone.0053671): noise alone does not distinguish it from twice the gain."""


@dataclass(frozen=True)
class NoiseLine:
    """Camera noise at the mean light of the film, and its slope over the light."""

    slope_adu: float
    noise_adu2: float
    light_adu: float


def brightness_cube(third_adu3: float, spot: Spot) -> float:
    """Molecules per square pixel times their mean cubed brightness in ADU, by a third cumulant."""
    return third_adu3 / third_overlap(spot.sigma_px, spot.shape)


def noise_line(moments: Moments, spot: Spot, kind: CameraKind) -> NoiseLine:
    """Least squares through noise against light of all pixels of all frames.

    Parameters
    ----------
    moments : Moments
        Averaged over frames.
    spot : Spot
        Of the same frames.
    kind : CameraKind
        For the skewness of its noise: a pixel's noise is part of its light and bends the line.

    Returns
    -------
    NoiseLine
        The slope is excess times gain; it is NaN where the light does not vary.
    """
    fine, light = seen_through(NOISE_TAPS), seen_through(NOISE_TAPS**2)
    leak_adu2 = spot.strength_adu2 * spot_overlap(spot.sigma_px, spot.shape, fine, fine)
    cube_adu3 = brightness_cube(float(moments.third_adu3), spot)
    leak_adu3 = cube_adu3 * spot_overlap(spot.sigma_px, spot.shape, fine, fine, light)
    noise_adu2 = float(moments.noise_adu2) - leak_adu2
    common_adu3 = moments.noise_light_adu3 - moments.noise_adu2 * moments.light_adu - leak_adu3
    varying_adu2 = moments.expected_light_adu2 - moments.expected_adu * moments.light_adu
    varying_adu2 += (kind.skew - 1) * _KEPT_LIGHT * noise_adu2
    slope_adu = float(common_adu3 / varying_adu2) if varying_adu2 > 0 else np.nan
    share = float(moments.expected_adu / moments.light_adu) if moments.light_adu else 1.0
    return NoiseLine(slope_adu, noise_adu2 / share, float(moments.light_adu))


def camera_levels(
    line: NoiseLine,
    kind: CameraKind,
    read_noise: float,
    *,
    gain_adu: float | None,
    offset_adu: float | None,
) -> tuple[float, float]:
    """Gain in ADU per photon and offset in ADU; given values are kept.

    The noise at the mean light is ``excess * gain * (light - offset)`` and the read noise,
    so one of the two gives the other; the line's slope is used if none is given.

    Parameters
    ----------
    line : NoiseLine
        Of the film.
    kind : CameraKind
        Of the camera.
    read_noise : float
        In the unit of ``kind``.
    gain_adu, offset_adu : float or None
        Known values.

    Returns
    -------
    tuple of float
        NaN where the film does not determine them.
    """
    if gain_adu is None and offset_adu is not None:
        gain_adu = _gain_adu(line, kind, read_noise, line.light_adu - offset_adu)
    if gain_adu is None:
        gain_adu = line.slope_adu / kind.excess if line.slope_adu > 0 else np.nan
    if offset_adu is None:
        read_adu2 = (read_noise * gain_adu if kind.read_noise_in_photons else read_noise) ** 2
        offset_adu = line.light_adu - (line.noise_adu2 - read_adu2) / (kind.excess * gain_adu)
    return gain_adu, offset_adu


def _gain_adu(line: NoiseLine, kind: CameraKind, read_noise: float, light_adu: float) -> float:
    """Root of ``noise = excess * gain * light + read noise``, where light is without offset."""
    if light_adu <= 0:
        return np.nan
    shot_adu = kind.excess * light_adu
    if not kind.read_noise_in_photons:
        return (line.noise_adu2 - read_noise**2) / shot_adu
    root_adu2 = np.sqrt(shot_adu**2 + 4 * read_noise**2 * line.noise_adu2)
    return float((root_adu2 - shot_adu) / (2 * read_noise**2))
