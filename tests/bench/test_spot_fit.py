"""The maximum-likelihood fit on spots that overlap, and on the noise of an EMCCD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from scipy.optimize import minimize

from smlm_bench.baselines.cel0.method import Cel0
from smlm_bench.baselines.spot_fit import fit_spots
from smlm_bench.method import FilmFacts
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.simulate import Emitters, expected_photons

SIZE_PX, SIGMA_PX, BACKGROUND = 7, 1.1, 20.0


def _means(places_px: NDArray[np.float64], photons: float) -> NDArray[np.float64]:
    """Windows of molecules at (K, M, 2) places from their corners, M in each."""
    shape = places_px.shape[:2]
    full = np.full(shape, photons), np.full(shape, SIGMA_PX)
    emitters = Emitters(places_px[..., 0], places_px[..., 1], *full)
    return expected_photons(emitters, SIZE_PX, SIZE_PX) + BACKGROUND


def _cost(parameters: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """What is least where the likelihood is greatest."""
    y, x, photons, background, sigma = parameters
    one = [np.array([[each]]) for each in (y + SIZE_PX / 2, x + SIZE_PX / 2, photons, sigma)]
    mean = np.maximum(
        expected_photons(Emitters(*one), SIZE_PX, SIZE_PX)[0] + max(background, 0), 1e-9
    )
    return float((mean - window * np.log(mean)).sum())


def test_the_fit_of_lone_molecules_has_no_bias() -> None:
    rng = np.random.default_rng(2)
    places = 3.5 + rng.uniform(-0.5, 0.5, (400, 1, 2))
    spots = fit_spots(rng.poisson(_means(places, 1500.0)).astype(float), SIGMA_PX)
    assert spots.settled.all()
    for found, true in (
        (spots.y_px + 3.5 - places[:, 0, 0], 0.0),
        (spots.x_px + 3.5 - places[:, 0, 1], 0.0),
        (spots.photons, 1500.0),
        (spots.background_photons, BACKGROUND),
        (spots.sigma_px, SIGMA_PX),
    ):
        assert abs(found.mean() - true) < 4 * found.std() / 20


def test_spots_that_overlap_settle_too_where_the_likelihood_is_greatest() -> None:
    rng = np.random.default_rng(3)
    windows = rng.poisson(_means(rng.uniform(1, 6, (200, 3, 2)), 1500.0)).astype(float)
    spots = fit_spots(windows, SIGMA_PX)
    assert spots.settled.mean() > 0.95
    fits = np.stack(
        [spots.y_px, spots.x_px, spots.photons, spots.background_photons, spots.sigma_px], axis=1
    )
    missed = [
        _cost(fit, window) - minimize(_cost, fit, args=(window,), method="Nelder-Mead").fun
        for window, fit in zip(windows[spots.settled][::3], fits[spots.settled][::3], strict=True)
    ]
    assert np.sum(np.array(missed) > 0.01) <= 1


def test_cel0_lists_no_molecules_of_an_emccds_noise() -> None:
    camera = Emccd(adu_per_photon=2.0, offset_adu=100.0, read_noise_adu=0.0)
    frames = camera.expose(np.random.default_rng(1), np.full((2, 24, 24), BACKGROUND))
    facts = FilmFacts(
        shape_px=(24, 24),
        pixel_size_nm=100.0,
        sigma_px=SIGMA_PX,
        molecule_photons=1500.0,
        adu_per_photon=2.0,
        offset_adu=100.0,
        excess_noise=2.0,
        levels_adu=np.array([140, 1000], np.float32),
    )
    found = Cel0(facts).reconstruct(frames).molecules
    assert found is not None
    assert len(found.frame) == 0
    bright = Cel0(replace(facts, molecule_photons=100.0)).reconstruct(frames).molecules
    assert bright is not None
    assert len(bright.frame) > 0
