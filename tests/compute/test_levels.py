"""Background and scale of a film, by hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.films import noise_adu, spots_adu
from smlm_pipeline.compute.levels import film_levels


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 100])
@pytest.mark.parametrize("value", [0, 1, 1000, 65535])
def test_levels_of_a_constant_film(frames: int, value: int) -> None:
    levels = film_levels(np.full((frames, 16, 20), value, np.uint16))
    assert levels.dtype == np.float32
    assert levels.tolist() == [value, 1]


def test_background_is_the_mean_between_two_ranks() -> None:
    """Of the values 0 to 99, those of rank 2 to 19 count: their mean is 10.5."""
    frame = np.random.default_rng(0).permutation(100).astype(np.uint16).reshape(1, 10, 10)
    assert film_levels(frame)[0] == pytest.approx(10.5)


def test_background_counts_a_value_as_far_as_it_lies_between_the_ranks() -> None:
    """Ranks 2 to 20 of 100 values hold 8 of the ten fives and ten of the ninety sevens."""
    frame = np.array([5] * 10 + [7] * 90, np.uint16).reshape(1, 10, 10)
    assert film_levels(frame)[0] == pytest.approx((8 * 5 + 10 * 7) / 18)


@pytest.mark.parametrize("frames", [1, 3, 7, 8, 9, 60])
def test_noise_without_molecules_falls_back_to_its_standard_deviation(frames: int) -> None:
    film_adu = noise_adu(frames, 64, 64, background_adu=100, seed=1)
    assert film_levels(film_adu)[1] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("frames", [1, 7, 8, 60])
def test_molecules_raise_the_scale_above_the_noise(frames: int) -> None:
    """A spot's peak is at 176 ADU above 140; the noise is 9 ADU, and low ranks count."""
    background_adu, scale_adu = film_levels(spots_adu(frames, 48, 48, spots=8))
    assert 120 < background_adu < 140
    assert 30 < scale_adu < 300


def test_scale_tells_how_bright_molecules_are_and_not_how_many() -> None:
    few, many = (film_levels(spots_adu(200, 48, 48, spots=count))[1] for count in (3, 12))
    assert many == pytest.approx(few, rel=0.25)


@pytest.mark.parametrize("frames", [8, 11])
def test_scale_is_the_ratio_of_unbiased_cumulants(frames: int) -> None:
    """Pair by pair and triple by triple, as in a textbook."""
    film_adu = spots_adu(frames, 24, 24, spots=6)
    traces = film_adu.reshape(frames, -1).T.astype(np.float64)
    centred = traces - traces.mean(axis=1, keepdims=True)
    corners = [y * 24 + x for y in range(23) for x in range(23)]
    second = np.mean([np.cov(traces[i], traces[j])[0, 1] for i in corners for j in (i + 1, i + 24)])
    third = np.mean([np.sum(centred[i] * centred[i + 1] * centred[i + 24]) for i in corners])
    third *= frames / ((frames - 1) * (frames - 2))
    assert film_levels(film_adu)[1] == pytest.approx(third / second, rel=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 16])
@pytest.mark.parametrize("gain", [2, 4, 8])
def test_levels_follow_a_gain_of_a_power_of_two_exactly(frames: int, gain: int) -> None:
    film_adu = spots_adu(frames, 40, 50)  # 2000 pixels: both ranks are whole numbers
    expected = film_levels(film_adu) * np.float32(gain)
    assert film_levels(film_adu * np.uint16(gain)).tolist() == expected.tolist()


@pytest.mark.parametrize("frames", [4, 16])
def test_levels_follow_an_offset(frames: int) -> None:
    """Means over 16 frames or 2048 pixels are exact, so the scale does not feel the offset."""
    film_adu = spots_adu(frames, 32, 64)
    background_adu, scale_adu = film_levels(film_adu)
    shifted = film_levels(film_adu + np.uint16(1000))
    assert shifted[0] == pytest.approx(background_adu + 1000, rel=1e-6)
    assert shifted[1] == scale_adu


def test_levels_do_not_change_the_film() -> None:
    film_adu = spots_adu(9, 20, 20)
    before = film_adu.copy()
    film_levels(film_adu)
    np.testing.assert_array_equal(film_adu, before)
