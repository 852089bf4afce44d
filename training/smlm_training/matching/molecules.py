"""Estimate photons per molecule and molecules per frame from ratios of cumulants.

A frame has ``n`` molecules of brightness ``I`` per square pixel. Covariances give n E[I^2],
the third cumulant n E[I^3], the fourth n E[I^4]. Their ratios are brightnesses that do not
depend on the number of molecules, and the density follows from them independently of the
background. I is the light P of a whole frame times the share f of the frame that the molecule
shines for. The relative spread c links the ratios to the mean of P: for a gamma distribution
E[P^3] / E[P^2] is E[P] (1 + 2 c^2), and E[P^4] / E[P^3] is E[P] (1 + 3 c^2). The moments of f
follow from the mean length of blinks, see ``simulation.blinks``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smlm_training.matching.camera_levels import brightness_cube
from smlm_training.matching.moments import Moments
from smlm_training.matching.psf_width import Spot
from smlm_training.simulation.blinks import share_moment
from smlm_training.simulation.spot import fourth_overlap


@dataclass(frozen=True)
class Blinking:
    """Ratios of the film's cumulants, corrected for the spot's shape and for parts of frames.

    ``squared_adu2`` is n E[P^2], ``weighted_adu`` E[P^3] / E[P^2], and ``spread2`` the
    squared relative spread of P as far as the fourth cumulant determines it; ``share`` is E[f].
    """

    squared_adu2: float
    weighted_adu: float
    spread2: float
    share: float


def blinking(moments: Moments, spot: Spot, on_frames: float) -> Blinking:
    """Ratios of cumulants of averaged ``moments``, for blinks of so many frames on average."""
    one, two, three, four = (share_moment(on_frames, power) for power in (1, 2, 3, 4))
    squared_adu2 = spot.strength_adu2 / two
    cubed_adu3 = brightness_cube(float(moments.third_adu3), spot) / three
    fourth_adu4 = float(moments.fourth_adu4) / fourth_overlap(spot.sigma_px, spot.shape) / four
    weighted_adu = cubed_adu3 / squared_adu2
    rise = fourth_adu4 / cubed_adu3 / weighted_adu  # (1 + 3 c^2) / (1 + 2 c^2)
    return Blinking(squared_adu2, weighted_adu, (rise - 1) / (3 - 2 * rise), one)


def brightness_adu(ratios: Blinking, spread2: float) -> float:
    """Mean ADU that one molecule adds to a whole frame, at this squared relative spread."""
    return ratios.weighted_adu / (1 + 2 * spread2)


def density_per_px2(ratios: Blinking, spread2: float) -> float:
    """Molecules per frame and square pixel, at this squared relative spread."""
    return ratios.squared_adu2 / brightness_adu(ratios, spread2) ** 2 / (1 + spread2)


def light_adu(ratios: Blinking, spread2: float) -> float:
    """Mean ADU of all molecules in a pixel of a frame, at this squared relative spread."""
    return density_per_px2(ratios, spread2) * brightness_adu(ratios, spread2) * ratios.share
