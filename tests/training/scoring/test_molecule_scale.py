"""The expected scale is what ``film.survey`` finds in a long film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smlm_pipeline.film.survey import prepared
from smlm_training.simulation.fluorophores import Fluorophore, PhotonDistribution
from smlm_training.simulation.presets import CAMERA, PRESETS
from smlm_training.simulation.simulate import joined
from smlm_training.simulation.spot import expected_scale_adu


@pytest.mark.parametrize("sigma_px", [0.9, 1.1, 1.6])
@pytest.mark.parametrize("name", ["uniform-3", "filaments-3"])
def test_it_is_that_of_a_long_film(name: str, sigma_px: float) -> None:
    fluorophore = Fluorophore(photons=1500, photons_spread=0.2, sigma_px=sigma_px)
    scene = replace(PRESETS[name], fluorophore=fluorophore, frames=300)
    found = np.median(prepared(joined(list(scene.blocks())).frames_adu)[1][:, 1])
    assert found == pytest.approx(expected_scale_adu(fluorophore, CAMERA.adu_per_photon), rel=0.05)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal", "uniform"])
def test_cube_over_square_of_each_distribution(distribution: PhotonDistribution) -> None:
    fluorophore = Fluorophore(1000, 0.3, 1.1, photons_distribution=distribution)
    photons = fluorophore.draw_photons(np.random.default_rng(1), 400_000)
    expected = np.mean(photons**3) / np.mean(photons**2)
    assert fluorophore.cube_over_square_photons == pytest.approx(expected, rel=0.005)


def test_equal_molecules_have_their_own_brightness() -> None:
    fluorophore = Fluorophore(700, 0.0, 1.1, photons_distribution="constant")
    assert fluorophore.cube_over_square_photons == 700
