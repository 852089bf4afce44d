"""Brightness and width of molecules: each distribution's moments, ends and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.fluorophores import (
    Fluorophore,
    PhotonDistribution,
    SigmaDistribution,
    uniform_moments,
)

COUNT = 200_000


def _photons(distribution: PhotonDistribution, spread: float) -> NDArray[np.float64]:
    molecule = Fluorophore(1500, spread, 1.1, photons_distribution=distribution)
    return molecule.draw_photons(np.random.default_rng(1), COUNT)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal", "uniform"])
@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_photons_have_the_stated_moments(distribution: PhotonDistribution, spread: float) -> None:
    photons = _photons(distribution, spread)
    assert photons.mean() == pytest.approx(1500, rel=5 * spread / np.sqrt(COUNT))
    assert photons.std() / photons.mean() == pytest.approx(spread, rel=0.015)
    assert photons.min() > 0


def test_photons_have_the_stated_skewness() -> None:
    """Of gamma 2 s; of log-normal s^3 + 3 s; of uniform none."""
    expected = {"gamma": 0.4, "lognormal": 0.608, "uniform": 0.0}
    for distribution in ("gamma", "lognormal", "uniform"):
        photons = _photons(distribution, 0.2)
        skewness = np.mean(((photons - photons.mean()) / photons.std()) ** 3)
        assert skewness == pytest.approx(expected[distribution], abs=0.05)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal", "uniform", "constant"])
def test_without_spread_all_molecules_are_alike(distribution: PhotonDistribution) -> None:
    np.testing.assert_array_equal(_photons(distribution, 0.0), 1500)


def test_thunderstorms_range_of_photons() -> None:
    mean, spread = uniform_moments(700, 900)
    assert (mean, spread) == pytest.approx((800, 200 / np.sqrt(12) / 800))
    molecule = Fluorophore(mean, spread, 1.0, photons_distribution="uniform")
    photons = molecule.draw_photons(np.random.default_rng(2), COUNT)
    assert (photons.min(), photons.max()) == pytest.approx((700, 900), abs=0.1)
    assert 700 <= photons.min() < photons.max() <= 900


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_sigma_has_the_stated_moments(distribution: SigmaDistribution) -> None:
    molecule = Fluorophore(1, 0, 1.3, sigma_spread=0.06, sigma_distribution=distribution)
    sigma_px = molecule.draw_sigma_px(np.random.default_rng(3), (400, 500))
    assert sigma_px.shape == (400, 500)
    assert sigma_px.mean() == pytest.approx(1.3, rel=0.001)
    assert sigma_px.std() == pytest.approx(1.3 * 0.06, rel=0.01)
    widest = {"normal": 0.3, "uniform": 0.06 * 3**0.5}[distribution]
    assert np.abs(sigma_px / 1.3 - 1).max() <= widest + 1e-12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"photons": 0.0}, r"photons is 0.0; expected a number from 1e-06"),
        ({"photons": float("nan")}, "photons is nan"),
        ({"photons_spread": -0.1}, r"photons spread \(gamma\) is -0.1; expected .* from 0 to 3"),
        (
            {"photons_spread": 0.6, "photons_distribution": "uniform"},
            r"photons spread \(uniform\) is 0.6; expected a number from 0 to 0.57735",
        ),
        (
            {"photons_distribution": "constant"},
            r"photons spread is 0.2 and their distribution constant",
        ),
        ({"photons_distribution": "normal"}, "photons distribution is 'normal'; expected one of"),
        ({"sigma_px": -1.1}, "sigma in pixels is -1.1"),
        ({"sigma_px": "wide"}, "sigma in pixels is 'wide'"),
        ({"sigma_spread": 0.7}, "sigma spread is 0.7"),
        ({"sigma_distribution": "gamma"}, "sigma distribution is 'gamma'; expected .* uniform"),
    ],
)
def test_other_distributions_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Fluorophore(**{"photons": 1500, "photons_spread": 0.2, "sigma_px": 1.1, **settings})
