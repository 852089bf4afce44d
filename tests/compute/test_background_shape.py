"""An uneven background is found, measured in each frame and subtracted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import noise_adu, spots_adu
from smlm_pipeline.compute.background_shape import BackgroundShape, background_shape
from smlm_pipeline.compute.levels import frame_backgrounds

SIZE_PX, FRAMES, SCALE_ADU = 48, 100, 90.0
PEAK_ADU = 200.0
EVERYWHERE = np.ones((SIZE_PX, SIZE_PX), bool)


def _hill() -> NDArray[np.float64]:
    """A cell with a soft edge over a quarter of the field, 1 inside."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - SIZE_PX / 2
    hill: NDArray[np.float64] = 1 / (1 + np.exp((np.hypot(y, x) - 14) / 1.5))
    return hill


def _lit(amplitudes: NDArray[np.float64], *, spots: int = 4) -> NDArray[np.uint16]:
    """Spots above a hill of light of these amplitudes, with its shot noise."""
    rng = np.random.default_rng(1)
    light = rng.poisson(PEAK_ADU * amplitudes[:, None, None] * _hill())
    film_adu = spots_adu(FRAMES, SIZE_PX, SIZE_PX, spots=spots) + light
    return film_adu.astype(np.uint16)


def _shape(
    film_adu: NDArray[np.uint16], usable: NDArray[np.bool_] = EVERYWHERE
) -> BackgroundShape | None:
    backgrounds_adu = frame_backgrounds(film_adu.reshape(len(film_adu), -1))
    whole = np.ones(len(film_adu), bool)
    return background_shape(film_adu, backgrounds_adu, usable, whole, SCALE_ADU)


@pytest.mark.parametrize("spots", [0, 1, 4, 12])
def test_an_even_background_has_no_shape(spots: int) -> None:
    assert _shape(spots_adu(FRAMES, SIZE_PX, SIZE_PX, spots=spots)) is None


def test_dense_molecules_at_one_place_are_no_background() -> None:
    """They blink, so their light is not taken for the background."""
    film_adu = noise_adu(FRAMES, SIZE_PX, SIZE_PX, background_adu=140)
    film_adu[:, 12:36, 12:36] = spots_adu(FRAMES, 24, 24, spots=8)
    assert _shape(film_adu) is None


def test_a_few_frames_show_no_shape() -> None:
    assert _shape(_lit(np.ones(FRAMES))[:31]) is None


def test_a_hill_is_found() -> None:
    shape = _shape(_lit(np.ones(FRAMES)))
    assert shape is not None
    assert shape.largest_adu == pytest.approx(PEAK_ADU, rel=0.1)
    assert np.abs(shape.excess_adu - PEAK_ADU * _hill()).mean() < 0.1 * SCALE_ADU


def test_its_amplitude_is_measured_in_each_frame() -> None:
    amplitudes = np.random.default_rng(2).uniform(0, 2, FRAMES)
    shape = _shape(_lit(np.ones(FRAMES)))
    assert shape is not None
    measured = shape.amplitudes(_lit(amplitudes))
    np.testing.assert_allclose(measured, amplitudes, atol=0.15)


def test_subtracted_it_leaves_an_even_background() -> None:
    shape = _shape(_lit(np.ones(FRAMES)))
    assert shape is not None
    evened_adu = shape.even(_lit(np.exp(-np.arange(FRAMES) / 40)))
    inside, outside = _hill() > 0.9, _hill() < 0.1
    for part in (slice(0, 20), slice(80, 100)):
        step_adu = evened_adu[part][:, inside].mean() - evened_adu[part][:, outside].mean()
        assert abs(step_adu) < 0.2 * SCALE_ADU


def test_pixels_that_are_not_usable_do_not_count() -> None:
    film_adu = spots_adu(FRAMES, SIZE_PX, SIZE_PX)
    usable = EVERYWHERE.copy()
    film_adu[:, :9, :9] += 5000
    usable[:9, :9] = False
    assert _shape(film_adu, usable) is None


def test_amplitudes_and_frames_do_not_depend_on_how_a_film_is_cut() -> None:
    film_adu = _lit(np.ones(FRAMES))
    shape = _shape(film_adu)
    assert shape is not None
    apart = [shape.even(film_adu[first : first + 7]) for first in range(0, FRAMES, 7)]
    np.testing.assert_array_equal(np.concatenate(apart), shape.even(film_adu))


def test_values_stay_within_16_bits() -> None:
    excess_adu = np.zeros((16, 16), np.float32)
    excess_adu[:, 8:] = 300
    shape = BackgroundShape(excess_adu, 300.0)
    film_adu = np.full((1, 16, 16), 100, np.uint16)
    film_adu[:, :, 8:] = 400
    film_adu[0, 0, 15], film_adu[0, 1, 15] = 65535, 0
    evened_adu = shape.even(film_adu)
    assert (evened_adu[0, 2:] == 100).all()
    assert (evened_adu[0, 0, 15], evened_adu[0, 1, 15]) == (65235, 0)
