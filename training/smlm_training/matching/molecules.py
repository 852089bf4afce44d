"""Photons of a molecule and molecules of a frame, from ratios of cumulants.

Per square pixel the film has ``n`` molecules a frame, of brightness ``I``. Covariances
give n E[I^2], the third cumulant n E[I^3], the fourth n E[I^4]: their ratios are
brightnesses that do not depend on how many molecules there are, and the density follows
without any background. What a molecule's mean brightness has to do with E[I^3] / E[I^2] is
its spread c: of a gamma distribution it is E[I] (1 + 2 c^2), and E[I^4] / E[I^3] is
E[I] (1 + 3 c^2).
"""

from __future__ import annotations

from dataclasses import dataclass

from smlm_training.matching.camera_levels import brightness_cube
from smlm_training.matching.moments import Moments
from smlm_training.matching.psf_width import Spot
from smlm_training.simulation.spot import overlap, profile


@dataclass(frozen=True)
class Blinking:
    """Ratios of the film's cumulants, without the spot's shape.

    ``squared_adu2`` is n E[I^2], ``weighted_adu`` E[I^3] / E[I^2], and ``spread2`` the
    squared relative spread of photons as far as the fourth cumulant tells it.
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


def brightness_adu(found: Blinking, spread2: float) -> float:
    """Mean ADU that one molecule adds to a frame, if its photons spread so."""
    return found.weighted_adu / (1 + 2 * spread2)


def density_per_px2(found: Blinking, spread2: float) -> float:
    """Molecules per frame and square pixel, if their photons spread so."""
    return found.squared_adu2 / brightness_adu(found, spread2) ** 2 / (1 + spread2)
