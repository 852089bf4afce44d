"""Films for demonstrations and scores; training never draws from these seeds."""

from __future__ import annotations

from dataclasses import replace

from smlm_training.simulation.backgrounds import Background
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.samples import FilamentSample, UniformSample
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.simulate import Film, Fluorophore, joined

PIXEL_SIZE_NM = 100.0
"""Camera pixel of all presets."""

FLUOROPHORE = Fluorophore(photons=1500, photons_spread=0.2, sigma_px=1.1)

CAMERA = Emccd(adu_per_photon=2.0, offset_adu=100.0)
"""As in ThunderSTORM's demonstration film: excess noise factor 2."""

BACKGROUND_PHOTONS = 20.0

_SCENE = Scene(
    UniformSample(),
    fluorophore=FLUOROPHORE,
    background=Background(BACKGROUND_PHOTONS),
    camera=CAMERA,
    pixel_size_nm=PIXEL_SIZE_NM,
)

_MICROTUBULES = FilamentSample(
    density_per_um=(3.5, 3.5), spacing_nm=(300.0, 900.0), crossing_share=0.15, radius_nm=5.0
)
"""Wavy lines mostly 300 to 900 nm apart with some crossings, 3.5 molecules per micrometre."""

_EVALUATE = FilamentSample(
    density_per_um2=5.5,
    density_per_um=(3.0, 4.0),
    spacing_nm=(300.0, 500.0),
    lines_per_bundle=(2, 4),
    gap_nm=(800.0, 1500.0),
    crossing_share=0.15,
    radius_nm=5.0,
)
"""Bundles of lines 300 to 500 nm apart; 5.5 a um2 are 225 molecules in a frame of 64 x 64."""

_DENSITIES_PER_UM2 = (1, 3, 6, 9)

PRESETS: dict[str, Scene] = {
    "microtubules": replace(_SCENE, sample=_MICROTUBULES),
    **{
        f"uniform-{density}": replace(_SCENE, sample=UniformSample(float(density)))
        for density in _DENSITIES_PER_UM2
    },
    **{
        f"filaments-{density}": replace(
            _SCENE,
            sample=replace(_MICROTUBULES, density_per_um2=float(density), density_per_um=None),
        )
        for density in _DENSITIES_PER_UM2
    },
    "evaluate": replace(_SCENE, sample=_EVALUATE, frames=361, seed=361),
}
"""Scenes by their name on the command line; the number is molecules per square micrometre.

``evaluate`` is the film that the shipped network is chosen by: 361 frames, about 225
molecules in each. The others have 200 frames by default.
"""


def preset_film(
    name: str,
    *,
    seed: int,
    frames: int,
    height_px: int,
    width_px: int,
    photons_spread: float = FLUOROPHORE.photons_spread,
) -> Film:
    """A film of a preset, whole in memory, always the same for the same arguments.

    ``photons_spread`` is the relative standard deviation of a molecule's photons.
    """
    scene = PRESETS[name]
    fluorophore = replace(scene.fluorophore, photons_spread=photons_spread)
    scene = replace(scene, fluorophore=fluorophore, seed=seed, frames=frames)
    return joined(list(replace(scene, height_px=height_px, width_px=width_px).blocks()))
