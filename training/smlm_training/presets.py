"""Films that demos and scores are made on; training never draws from these seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from smlm_training.camera import Emccd
from smlm_training.simulate import Film, Fluorophore, film
from smlm_training.structures import Structure, Uniform, wavy_filaments

PIXEL_SIZE_NM = 100.0
"""Camera pixel of all presets."""

FLUOROPHORE = Fluorophore(photons=1500, photons_spread=0.2, sigma_px=1.1)

CAMERA = Emccd(adu_per_photon=2.0, offset_adu=100.0)
"""As in ThunderSTORM's demonstration film: excess noise factor 2."""

BACKGROUND_PHOTONS = 20.0

_HELD_OUT = 7_771
"""Sets these films' random numbers apart from those of training."""

_BORDER_PX = 6.0

_StructureOf = Callable[[np.random.Generator, int, int], Structure]
"""What makes the sample of a field of some height and width."""


def _microtubules(rng: np.random.Generator, height_px: int, width_px: int) -> Structure:
    """Wavy lines mostly 300 to 900 nm apart with some crossings, 3.5 molecules per micrometre."""
    return wavy_filaments(
        rng,
        height_px=height_px,
        width_px=width_px,
        spacing_px=(3.0, 9.0),
        crossing_share=0.15,
        density_per_px=0.35,
        radius_px=0.05,
        border_px=_BORDER_PX,
    )


def _uniform(density_per_um2: float) -> _StructureOf:
    density_per_px2 = density_per_um2 * (PIXEL_SIZE_NM / 1000) ** 2
    return lambda _, height_px, width_px: Uniform(height_px, width_px, density_per_px2, _BORDER_PX)


PRESETS: dict[str, _StructureOf] = {
    "microtubules": _microtubules,
    "uniform-1": _uniform(1),
    "uniform-3": _uniform(3),
    "uniform-6": _uniform(6),
    "uniform-9": _uniform(9),
}
"""By the name that the command line takes; the number is molecules per square micrometre."""


def preset_film(
    name: str,
    *,
    seed: int,
    frames: int,
    height_px: int,
    width_px: int,
    photons_spread: float = FLUOROPHORE.photons_spread,
) -> Film:
    """A film of a preset, always the same for the same arguments.

    ``photons_spread`` is the relative standard deviation of a molecule's photons.
    """
    rng = np.random.default_rng([_HELD_OUT, seed])
    return film(
        rng,
        structure=PRESETS[name](rng, height_px, width_px),
        fluorophore=replace(FLUOROPHORE, photons_spread=photons_spread),
        camera=CAMERA,
        background_photons=BACKGROUND_PHOTONS,
        frames=frames,
        height_px=height_px,
        width_px=width_px,
    )
