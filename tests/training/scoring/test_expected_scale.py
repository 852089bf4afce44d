"""The expected scale of training films is what the client measures, for spots of every kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smlm_pipeline.compute.brightness import scale_factor
from smlm_pipeline.compute.levels import frame_backgrounds, scale_segments
from smlm_training.simulation.camera import Scmos
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.profiles import tabulated_profile
from smlm_training.simulation.simulate import film
from smlm_training.simulation.spot import expected_scale_adu, nominal_scale_adu
from smlm_training.simulation.spot_shape import SpotShape
from smlm_training.simulation.structures import Uniform

GAIN = 2.0

KINDS = {
    "round": Fluorophore(3000, 0.2, 1.2),
    "wide": Fluorophore(3000, 0.2, 2.4),
    "elliptic": Fluorophore(3000, 0.2, 1.2, shape=SpotShape(ratio=1.5)),
    "elliptic along x": Fluorophore(3000, 0.2, 1.2, shape=SpotShape(ratio=1 / 1.5)),
    "in depth": Fluorophore(3000, 0.2, 1.1, shape=SpotShape(astigmatism=0.4, depth=1.0)),
    "halo": Fluorophore(3000, 0.2, 1.1, shape=SpotShape(halo_share=0.25, halo_width=2.5)),
    "all": Fluorophore(3000, 0.2, 1.1, shape=SpotShape(1.3, 0.3, 0.7, 0.2, 3.0)),
    "gamma": Fluorophore(3000, 0.5, 1.2),
    "log-normal": Fluorophore(3000, 0.5, 1.2, photons_distribution="lognormal"),
    "short blinks": Fluorophore(3000, 0.2, 1.2, on_frames=0.5),
    "long blinks": Fluorophore(3000, 0.2, 1.2, on_frames=5.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_the_client_measures(kind: str) -> None:
    made = film(
        np.random.default_rng(4),
        structure=Uniform(96, 96, 0.02, 8.0),
        fluorophore=KINDS[kind],
        camera=Scmos(GAIN, 100.0, 3.0),
        background_photons=20.0,
        frames=120,
        height_px=96,
        width_px=96,
        profile=tabulated_profile,
    )
    frames_adu = made.frames_adu
    backgrounds_adu = frame_backgrounds(frames_adu.reshape(len(frames_adu), -1))
    everywhere, always = np.ones(frames_adu.shape[1:], bool), np.ones(len(frames_adu), bool)
    (found,) = scale_segments(frames_adu, backgrounds_adu, everywhere, always)
    expected_adu = expected_scale_adu(KINDS[kind], GAIN)
    assert found.scale_adu == pytest.approx(expected_adu, rel=0.05)


@pytest.mark.parametrize("on_frames", [0.0, 3.0])
def test_networks_are_trained_for_what_a_look_corrects_it_to(on_frames: float) -> None:
    spread = 0.6
    unlike = Fluorophore(900, spread, 1.2, photons_distribution="lognormal", on_frames=on_frames)
    corrected_adu = expected_scale_adu(unlike, GAIN) * scale_factor(np.sqrt(np.log1p(spread**2)))
    assert nominal_scale_adu(unlike, GAIN) == pytest.approx(corrected_adu, rel=0.005)
    alike = replace(unlike, photons_distribution="constant", photons_spread=0.0)
    assert nominal_scale_adu(unlike, GAIN) == pytest.approx(nominal_scale_adu(alike, GAIN))
