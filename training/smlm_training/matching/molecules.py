"""Estimate photons per molecule and molecules per frame from ratios of cumulants.

A frame has ``n`` molecules of brightness ``I`` per square pixel. Covariances give n E[I^2],
the third cumulant n E[I^3], the fourth n E[I^4]. Their ratios are brightnesses that do not
depend on the number of molecules, and the density follows from them independently of the
background. The relative spread c links the ratios to the mean brightness: for a gamma
distribution E[I^3] / E[I^2] is E[I] (1 + 2 c^2), and E[I^4] / E[I^3] is E[I] (1 + 3 c^2).
"""

from __future__ import annotations

from dataclasses import dataclass

from smlm_training.matching.camera_levels import brightness_cube
from smlm_training.matching.moments import Moments
from smlm_training.matching.psf_width import Spot
from smlm_training.simulation.spot import overlap, profile


@dataclass(frozen=True)
class Blinking:
    """Ratios of the film's cumulants, corrected for the spot's shape.

    ``squared_adu2`` is n E[I^2], ``weighted_adu`` E[I^3] / E[I^2], and ``spread2`` the
    squared relative spread of photons as far as the fourth cumulant determines it.
    """

    squared_adu2: float
    weighted_adu: float
    spread2: float


def blinking(moments: Moments, spot: Spot) -> Blinking:
    """Ratios of cumulants of averaged ``moments``, with the overlaps of the ``spot``."""
    here, beside = profile(spot.sigma_px), profile(spot.sigma_px, 1)
    cube_adu3 = brightness_cube(float(moments.third_adu3), spot.sigma_px)
    fourth_adu4 = float(moments.fourth_adu4) / overlap(here, here, beside, beside) ** 2
    weighted_adu = cube_adu3 / spot.strength_adu2
    rise = fourth_adu4 / cube_adu3 / weighted_adu  # (1 + 3 c^2) / (1 + 2 c^2)
    return Blinking(spot.strength_adu2, weighted_adu, (rise - 1) / (3 - 2 * rise))


def brightness_adu(ratios: Blinking, spread2: float) -> float:
    """Mean ADU that one molecule adds to a frame, at this squared relative spread."""
    return ratios.weighted_adu / (1 + 2 * spread2)


def density_per_px2(ratios: Blinking, spread2: float) -> float:
    """Molecules per frame and square pixel, at this squared relative spread."""
    return ratios.squared_adu2 / brightness_adu(ratios, spread2) ** 2 / (1 + spread2)
