"""Draw the conditions of a training film: its molecules, their spots, background and camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.bounds import Range
from smlm_training.simulation.camera import Camera, Emccd, Scmos
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.spot_shape import SpotShape

BRIGHTEST_ADU = 50_000.0
"""Most expected light of a pixel."""


def log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    """A number that is uniform in its logarithm."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def random_fluorophore(rng: np.random.Generator, ranges: Ranges) -> Fluorophore:
    """Brightness of the molecules, and the width and shape of their spots."""
    photons = log_uniform(rng, ranges.photons)
    spread = rng.uniform(*ranges.photons_spread)
    lognormal = rng.random() < ranges.lognormal_share
    blinking = rng.random() < ranges.blinking_share
    shape = _random_shape(rng, ranges)
    return Fluorophore(
        photons=photons,
        photons_spread=spread,
        sigma_px=rng.uniform(*ranges.sigma_px),
        photons_distribution="lognormal" if lognormal else "gamma",
        shape=shape,
        on_frames=log_uniform(rng, ranges.on_frames) if blinking else 0.0,
    )


def _random_shape(rng: np.random.Generator, ranges: Ranges) -> SpotShape:
    """Round Gaussians, or spots that are longer than wide, of molecules in depth, with a halo."""
    shape = {}
    if rng.random() < ranges.elliptic_share:
        shape["ratio"] = log_uniform(rng, ranges.spot_ratio) ** rng.choice([-1, 1])
    if rng.random() < ranges.deep_share:
        shape["depth"] = rng.uniform(*ranges.depth)
        shape["astigmatism"] = rng.uniform(*ranges.astigmatism)
    if rng.random() < ranges.halo_share:
        shape["halo_share"] = rng.uniform(*ranges.halo_light)
        shape["halo_width"] = log_uniform(rng, ranges.halo_width)
    return SpotShape(**shape)


def random_background(
    rng: np.random.Generator, ranges: Ranges, fluorophore: Fluorophore
) -> NDArray[np.float64]:
    """Photons of each pixel, (Y, X): flat in half of the films, a slope with a bump in the others.

    It is at most what molecules are seen under: the light of one is ``least_contrast`` times the
    shot noise of the background under its spot, whose area is 4 pi sigma^2.
    """
    size_px = ranges.patch_px
    level = log_uniform(rng, ranges.background_photons)
    if ranges.least_contrast:
        area_px2 = 4 * np.pi * fluorophore.sigma_px**2
        level = min(level, (fluorophore.photons / ranges.least_contrast) ** 2 / area_px2)
    flat = np.full((size_px, size_px), level)
    if rng.random() < 0.5:
        return flat
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    slope = rng.uniform(-0.4, 0.4) * y + rng.uniform(-0.4, 0.4) * x
    distance2 = (y - rng.uniform(-0.5, 0.5)) ** 2 + (x - rng.uniform(-0.5, 0.5)) ** 2
    bump = rng.uniform(0, 0.6) * np.exp(-distance2 / (2 * rng.uniform(0.2, 0.5) ** 2))
    shaded: NDArray[np.float64] = flat * (1 + slope + bump)
    return shaded


def random_camera(rng: np.random.Generator, ranges: Ranges, brightest_photons: float) -> Camera:
    """An EMCCD or an sCMOS, half of the latter with pixels that differ.

    The gain is lowered where the brightest pixel would saturate, as a user would.
    """
    offset_adu = rng.uniform(*ranges.offset_adu)
    most_adu_per_photon = BRIGHTEST_ADU / max(brightest_photons, 1.0)
    if rng.random() < ranges.emccd_share:
        gain = min(log_uniform(rng, ranges.emccd_adu_per_photon), most_adu_per_photon)
        return Emccd(gain, offset_adu, rng.uniform(*ranges.emccd_read_noise_adu))
    gain = min(log_uniform(rng, ranges.scmos_adu_per_photon), most_adu_per_photon)
    read_noise_adu = gain * rng.uniform(*ranges.scmos_read_noise_photons)
    if rng.random() < 0.5:
        return Scmos(gain, offset_adu, read_noise_adu)
    shape = (ranges.patch_px, ranges.patch_px)
    return Scmos(
        gain * rng.normal(1, 0.02, shape),
        offset_adu + rng.normal(0, 1, shape),
        read_noise_adu * rng.gamma(8, 1 / 8, shape),
    )
