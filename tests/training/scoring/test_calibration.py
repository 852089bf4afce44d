"""Calibration and gridding, against counts by hand and data that are calibrated by design."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline.localise.table import Localisations, Molecules
from smlm_training.scoring.calibration import (
    PROBABILITY_BINS,
    SIGMA_BINS,
    probability_calibration,
    sigma_calibration,
)
from smlm_training.scoring.figure import write_calibration_figure
from smlm_training.scoring.gridding import pixel_distribution


def _apart(count: int) -> Molecules:
    """True molecules so far apart that each can have one partner only."""
    place_nm = 1000.0 * np.arange(count)
    return Molecules(np.zeros(count, np.int64), place_nm, place_nm)


def _found(
    true: Molecules,
    *,
    error_nm: NDArray[np.float64],
    sigma_nm: NDArray[np.float64],
    probability: NDArray[np.float64] | None = None,
) -> Localisations:
    """Localisations with errors and sigmas along y and x, both (2, K)."""
    sure = np.ones(len(true.frame)) if probability is None else probability
    y_nm, x_nm = true.y_nm + error_nm[0], true.x_nm + error_nm[1]
    light = np.full(len(true.frame), 20.0)
    return Localisations(true.frame, y_nm, x_nm, sigma_nm[0], sigma_nm[1], sure, light, light / 10)


def test_sigmas_by_hand() -> None:
    """Errors 3, 4, 0 and 12 nm under sigmas 1, 2, 4 and 8 nm."""
    found = _found(
        _apart(2),
        error_nm=np.array([[3.0, -4.0], [0.0, 12.0]]),
        sigma_nm=np.array([[1.0, 2.0], [4.0, 8.0]]),
    )
    result = sigma_calibration(found, _apart(2), tolerance_nm=250)
    rows = [(each.errors, each.sigma_nm, each.error_nm) for each in result.bins]
    assert rows == [(1, 1, 3), (1, 2, 4), (1, 4, 0), (1, 8, 12)]
    assert result.ratio == pytest.approx(np.sqrt(169 / 85))
    assert result.z_rms == pytest.approx(np.sqrt((9 + 4 + 0 + 2.25) / 4))
    assert result.within_1_sigma_percent == 25
    assert result.within_2_sigma_percent == 50


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_calibrated_sigmas_have_the_ratio_one(factor: float) -> None:
    """Normal errors of sigma; then sigmas that are too large or too small by a factor."""
    rng = np.random.default_rng(1)
    true = _apart(10_000)
    sigma_nm = rng.uniform(5, 30, (2, 10_000))
    found = _found(
        true, error_nm=sigma_nm * rng.standard_normal(sigma_nm.shape), sigma_nm=sigma_nm * factor
    )
    result = sigma_calibration(found, true, tolerance_nm=250)
    assert len(result.bins) == SIGMA_BINS
    assert sum(each.errors for each in result.bins) == 20_000
    assert result.ratio == pytest.approx(1 / factor, rel=0.02)
    assert result.z_rms == pytest.approx(1 / factor, rel=0.02)
    for each in result.bins:
        assert each.error_nm == pytest.approx(each.sigma_nm / factor, rel=0.05)
    sigmas_nm = [each.sigma_nm for each in result.bins]
    assert sigmas_nm == sorted(sigmas_nm)
    normal = [100 * math.erf(k * factor / math.sqrt(2)) for k in (1, 2)]
    shares = (result.within_1_sigma_percent, result.within_2_sigma_percent)
    assert shares == pytest.approx(normal, abs=1)


def test_errors_beyond_the_tolerance_are_no_errors() -> None:
    error_nm = np.array([[3.0, 300.0], [0.0, 0.0]])
    found = _found(_apart(2), error_nm=error_nm, sigma_nm=np.full((2, 2), 3.0))
    assert sigma_calibration(found, _apart(2), tolerance_nm=250).ratio == pytest.approx(1 / 2**0.5)


def test_probabilities_by_hand() -> None:
    """Of three at 0.25 one is true, of two at 0.95 both: 3/5 * 1/12 + 2/5 * 0.05."""
    everywhere = _apart(5)
    found = _found(
        everywhere,
        error_nm=np.zeros((2, 5)),
        sigma_nm=np.ones((2, 5)),
        probability=np.array([0.25, 0.95, 0.25, 0.95, 0.25]),
    )
    true = everywhere.take(np.array([True, True, False, True, False]))
    result = probability_calibration(found, true, tolerance_nm=250)
    low, high = result.bins
    assert (low.found, low.probability) == (3, 0.25)
    assert low.frequency == pytest.approx(1 / 3)
    assert (high.found, high.frequency) == (2, 1)
    assert high.probability == pytest.approx(0.95)
    assert result.expected_error == pytest.approx((3 * (1 / 3 - 0.25) + 2 * 0.05) / 5)


def test_calibrated_probabilities_are_frequencies() -> None:
    rng = np.random.default_rng(2)
    count = 50_000
    everywhere, probability = _apart(count), rng.uniform(0, 1, count)
    found = _found(
        everywhere,
        error_nm=np.zeros((2, count)),
        sigma_nm=np.ones((2, count)),
        probability=probability,
    )
    true = everywhere.take(rng.uniform(0, 1, count) < probability)
    result = probability_calibration(found, true, tolerance_nm=250)
    assert len(result.bins) == PROBABILITY_BINS
    for each in result.bins:
        assert each.frequency == pytest.approx(each.probability, abs=0.03)
    assert result.expected_error < 0.015


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    found = _found(_apart(1), error_nm=np.zeros((2, 1)), sigma_nm=np.ones((2, 1)))
    result = probability_calibration(found, _apart(1), tolerance_nm=250)
    assert [(each.found, each.frequency) for each in result.bins] == [(1, 1)]


def test_nothing_found_is_not_calibrated() -> None:
    none = _found(_apart(0), error_nm=np.zeros((2, 0)), sigma_nm=np.ones((2, 0)))
    sigma = sigma_calibration(none, _apart(3), tolerance_nm=250)
    probability = probability_calibration(none, _apart(3), tolerance_nm=250)
    assert len(sigma.bins) == len(probability.bins) == 0
    numbers = (sigma.ratio, sigma.z_rms, sigma.within_1_sigma_percent, probability.expected_error)
    assert all(math.isnan(number) for number in numbers)


@pytest.mark.parametrize("count", [0, 200])
def test_the_calibration_is_drawn(count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    true, sigma_nm = _apart(count), rng.uniform(5, 30, (2, count))
    found = _found(true, error_nm=sigma_nm, sigma_nm=sigma_nm, probability=rng.uniform(0, 1, count))
    path = tmp_path / "calibration.png"
    write_calibration_figure(
        path,
        sigma_calibration(found, true, tolerance_nm=250),
        probability_calibration(found, true, tolerance_nm=250),
    )
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1.5 * picture.height  # two panels
        colours = len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))
    assert colours > 50


def test_positions_within_a_pixel_by_hand() -> None:
    """Of four along y two lie in the first quarter; along x one in each."""
    y_nm, x_nm = np.array([10.0, 110.0, 230.0, 370.0]), np.array([0.0, 125.0, 250.0, 375.0])
    points = Molecules(np.zeros(4, np.int64), y_nm, x_nm)
    result = pixel_distribution(points, pixel_size_nm=100, bins=4)
    assert result.y_share.tolist() == [0.5, 0.25, 0.25, 0]
    assert result.x_share.tolist() == [0.25] * 4
    assert result.deviation_percent == pytest.approx(100)
    assert result.chance_percent == pytest.approx(100 * np.sqrt(3 / 4))


def test_uniform_positions_are_flat_within_chance() -> None:
    rng = np.random.default_rng(4)
    flat = Molecules(np.zeros(80_000, np.int64), *rng.uniform(0, 6400, (2, 80_000)))
    result = pixel_distribution(flat, pixel_size_nm=100)
    assert result.chance_percent == pytest.approx(100 * np.sqrt(7 / 80_000))
    assert result.deviation_percent < 4 * result.chance_percent
    assert result.y_share.sum() == result.x_share.sum() == pytest.approx(1)


def test_positions_drawn_to_pixel_centres_are_not_flat() -> None:
    rng = np.random.default_rng(5)
    place_nm = rng.integers(0, 64, (2, 10_000)) * 100 + rng.normal(50, 20, (2, 10_000))
    drawn = Molecules(np.zeros(10_000, np.int64), *place_nm)
    assert pixel_distribution(drawn, pixel_size_nm=100).deviation_percent > 50


def test_no_positions_have_no_distribution() -> None:
    result = pixel_distribution(_apart(0), pixel_size_nm=100)
    assert math.isnan(result.deviation_percent)
    assert math.isnan(result.chance_percent)
