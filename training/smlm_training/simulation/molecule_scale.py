"""The scale that a film of given molecules has, had it endless frames."""

from __future__ import annotations

from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.spot import overlap, profile


def expected_scale_adu(fluorophore: Fluorophore, adu_per_photon: float) -> float:
    """What ``kernels.film_levels`` estimates: third over second cross-cumulant, in ADU.

    Molecules that blink independently at places h add E[I^3] h(0, 0) h(0, 1) h(1, 0)
    to the third and E[I^2] h(0, 0) h(0, 1) to the second (Campbell's theorem), where
    h is the share of the light in a pixel and its neighbours; the number of
    molecules cancels. The spot's width is taken as constant.
    """
    here, beside = profile(fluorophore.sigma_px), profile(fluorophore.sigma_px, 1)
    second = overlap(here, here) * overlap(here, beside)
    third = overlap(here, here, beside) ** 2
    return adu_per_photon * fluorophore.cube_over_square_photons * third / second
