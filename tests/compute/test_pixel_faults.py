"""Faulty pixels are found, each of its kind, and no pixel with a picture is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import noise_adu, spots_adu
from smlm_pipeline.compute.pixel_faults import find_faults, grown

FILM_ADU = spots_adu(80, 40, 48)


def _changed(film_adu: NDArray[np.uint16] = FILM_ADU) -> NDArray[np.uint16]:
    return film_adu.copy()


def _places(mask: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    return [tuple(place) for place in np.argwhere(mask).tolist()]


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 80])
def test_a_steady_film_has_none(frames: int) -> None:
    for film_adu in (FILM_ADU[:frames], noise_adu(frames, 40, 48)):
        faults = find_faults(film_adu)
        assert not faults.any_of.any()
        assert (faults.fill_adu, faults.worst_hot) == (None, None)


@pytest.mark.parametrize("value", [0, 1, 1000, 65535])
@pytest.mark.parametrize("frames", [8, 80])
def test_a_constant_film_is_taken_as_it_is(value: int, frames: int) -> None:
    faults = find_faults(np.full((frames, 16, 16), value, np.uint16))
    assert not faults.any_of.any()
    assert faults.fill_adu is None


@pytest.mark.parametrize("frames", [9, 80])
@pytest.mark.parametrize("value", [0, 120, 65535])
def test_pixels_that_never_change(frames: int, value: int) -> None:
    film_adu = _changed()[:frames]
    film_adu[:, 7, 9] = film_adu[:, 0] = value
    faults = find_faults(film_adu)
    assert _places(faults.constant) == [*((0, x) for x in range(48)), (7, 9)]
    assert not faults.hot.any()


def test_seven_frames_are_too_few() -> None:
    film_adu = _changed()[:7]
    film_adu[:, 7, 9] = 0
    assert not find_faults(film_adu).any_of.any()


@pytest.mark.parametrize("mean", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("frames", [8, 9, 100])
def test_pixels_of_a_few_photons_are_not_constant(mean: float, frames: int) -> None:
    """Of 32 x 32 pixels with 0.1 photons, 445 catch none in eight frames."""
    film_adu = np.random.default_rng(1).poisson(mean, (frames, 32, 32)).astype(np.uint16)
    faults = find_faults(film_adu)
    assert not faults.constant.any()
    assert not faults.outside.any()
    assert faults.fill_adu is None
    assert np.count_nonzero(faults.hot) <= 3


@pytest.mark.parametrize("frames", [8, 9, 100])
@pytest.mark.parametrize("dark_adu", [0, 100])
def test_a_film_without_noise_is_taken_as_it_is(frames: int, dark_adu: int) -> None:
    """Many of its pixels never change, and all of them show the picture."""
    rng, (y, x) = np.random.default_rng(2), np.mgrid[:32, :32]
    film = np.full((frames, 32, 32), float(dark_adu))
    for frame in film:
        for centre_y, centre_x in rng.uniform(0, 32, (3, 2)):
            frame += 300 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / 2.88)
    faults = find_faults(film.astype(np.uint16))
    assert not faults.any_of.any()
    assert faults.fill_adu is None


@pytest.mark.parametrize("frames", [9, 100])
def test_one_pixel_alone_changes(frames: int) -> None:
    film_adu = np.full((frames, 16, 16), 100, np.uint16)
    film_adu[:, 3, 4] = 100 + 10 * np.arange(frames)
    faults = find_faults(film_adu)
    assert _places(faults.any_of) == _places(faults.hot) == [(3, 4)]
    assert faults.fill_adu is None


def test_hot_and_flickering_pixels() -> None:
    """Single ones, a pair of neighbours, and a corner; the worst is named."""
    film_adu = _changed()
    flickers = np.random.default_rng(0).random(80) < 0.3
    for y, x, extra in ((5, 5, 400), (20, 30, 900), (20, 31, 900), (0, 47, 500)):
        film_adu[:, y, x] += np.uint16(extra)
    film_adu[flickers, 33, 12] += 3000
    faults = find_faults(film_adu)
    assert _places(faults.hot) == [(0, 47), (5, 5), (20, 30), (20, 31), (33, 12)]
    assert faults.worst_hot == (33, 12)
    assert not (faults.constant | faults.outside).any()


def test_a_bright_column() -> None:
    film_adu = _changed()
    film_adu[:, :, 17] += 300
    assert _places(find_faults(film_adu).hot) == [(y, 17) for y in range(40)]


@pytest.mark.parametrize("sigma_px", [0.7, 1.2])
def test_molecules_are_not_hot_even_if_rare_narrow_and_at_the_edge(sigma_px: float) -> None:
    """Where a molecule lies outside, a pixel may have one neighbour that is as bright."""
    rng, (y, x) = np.random.default_rng(3), np.mgrid[:40, :40]
    photons = np.full((120, 40, 40), 1.0)
    for frame in photons:
        centre_y, centre_x = rng.uniform(-1, 41, 2)
        squared = (y + 0.5 - centre_y) ** 2 + (x + 0.5 - centre_x) ** 2
        frame += 1000 / (2 * np.pi * sigma_px**2) * np.exp(-0.5 * squared / sigma_px**2)
    film_adu = (100 + 2 * rng.poisson(photons)).astype(np.uint16)
    assert not find_faults(film_adu).any_of.any()


def test_noise_below_one_adu_is_not_hot() -> None:
    """Gain 0.1: most pixels are 10 in all frames, some are 11 in one."""
    readings = np.random.default_rng(4).poisson(1, (120, 64, 64)) * 0.1 + 10.65
    assert not find_faults(readings.astype(np.uint16)).hot.any()


def test_outside_of_a_round_stop_with_the_cameras_noise() -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    outside = np.hypot(y, x) > 20
    rng = np.random.default_rng(5)
    film_adu = spots_adu(80, 48, 48)
    film_adu[:, outside] = np.rint(rng.normal(100, 2, (80, np.count_nonzero(outside))))
    faults = find_faults(film_adu)
    np.testing.assert_array_equal(faults.outside, outside)
    assert not (faults.hot | faults.constant).any()


def test_a_dark_part_with_light_is_inside() -> None:
    """A cell and its surroundings: both have light, as their shot noise shows."""
    rng, (y, x) = np.random.default_rng(6), np.mgrid[:48, :48] - 23.5
    photons = np.where(np.hypot(y, x) < 16, 200, 40)
    film_adu = (100 + rng.poisson(photons, (80, 48, 48))).astype(np.uint16)
    assert not find_faults(film_adu).any_of.any()


def test_borders_that_move_have_a_fill_value() -> None:
    film_adu = _changed()
    for index, frame in enumerate(film_adu):
        frame[: index % 5] = 0
    faults = find_faults(film_adu)
    assert faults.fill_adu == 0
    assert not faults.any_of.any()


def test_a_film_after_a_threshold_has_no_fill_value() -> None:
    """Most of its values are 0, which is its background."""
    film_adu = np.where(FILM_ADU > 200, FILM_ADU - np.uint16(130), np.uint16(0))
    assert find_faults(film_adu).fill_adu is None


def test_dark_frames_say_nothing_of_pixels() -> None:
    film_adu = _changed()
    film_adu[:60] = noise_adu(60, 40, 48, background_adu=4)
    film_adu[:, 7, 9] += 1500
    film_adu[60:, 20] = 0
    film_adu[:60, 20] = 0
    faults = find_faults(film_adu)
    assert _places(faults.hot) == [(7, 9)]
    assert _places(faults.constant) == [(20, x) for x in range(48)]


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (2, 2), (1, 1), (16, 16)])
@pytest.mark.parametrize("frames", [2, 8, 9, 40])
def test_frames_of_any_size(shape: tuple[int, int], frames: int) -> None:
    faults = find_faults(spots_adu(frames, *shape))
    assert not (faults.hot | faults.constant | faults.outside).any()


def test_masks_grow_by_rows_and_columns() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 4] = True
    expected = np.zeros((5, 6), bool)
    expected[:4, 2:] = True
    np.testing.assert_array_equal(grown(mask, 2), expected)
