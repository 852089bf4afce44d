"""Backgrounds of frames and scales of films, by hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import noise_adu, spots_adu
from smlm_pipeline.compute.frame_kinds import frames_with_structure
from smlm_pipeline.compute.levels import (
    NOISE_PER_SCALE,
    Segment,
    frame_backgrounds,
    scale_segments,
    spread_evenly,
)


def _backgrounds(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    return frame_backgrounds(frames_adu.reshape(len(frames_adu), -1))


def _segments(frames_adu: NDArray[np.uint16]) -> list[Segment]:
    everywhere = np.ones(frames_adu.shape[1:], bool)
    every_frame = np.ones(len(frames_adu), bool)
    return scale_segments(frames_adu, _backgrounds(frames_adu), everywhere, every_frame)


def _scale(frames_adu: NDArray[np.uint16]) -> float:
    (segment,) = _segments(frames_adu)
    assert (segment.first, segment.last) == (0, len(frames_adu))
    return segment.scale_adu


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 100])
@pytest.mark.parametrize("value", [0, 1, 1000, 65535])
def test_levels_of_a_constant_film(frames: int, value: int) -> None:
    film_adu = np.full((frames, 16, 20), value, np.uint16)
    assert _backgrounds(film_adu).dtype == np.float32
    assert _backgrounds(film_adu).tolist() == [value] * frames
    assert _scale(film_adu) == 1


def test_background_is_the_mean_between_two_ranks() -> None:
    """Of the values 0 to 99, those of rank 2 to 19 count: their mean is 10.5."""
    values = np.random.default_rng(0).permutation(100).astype(np.uint16)
    assert frame_backgrounds(np.stack([values, values + 7])).tolist() == [10.5, 17.5]


def test_background_leaves_out_the_lowest_value_if_it_marks_pixels_without_picture() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1, 101)).astype(np.uint16)
    filled = np.concatenate([values, np.zeros(300, np.uint16)])
    assert frame_backgrounds(np.stack([filled, filled]), 0).tolist() == [11.5, 11.5]
    assert frame_backgrounds(np.zeros((1, 9), np.uint16), 0).tolist() == [0]


def test_each_frame_has_its_own_background() -> None:
    """So it is the same however a film is cut."""
    frames_adu = spots_adu(20, 24, 24)
    apart = np.concatenate(
        [_backgrounds(frames_adu[first : first + 3]) for first in range(0, 20, 3)]
    )
    assert _backgrounds(frames_adu).tolist() == apart.tolist()


@pytest.mark.parametrize("frames", [1, 3, 7, 8, 9, 60])
def test_noise_without_molecules_is_small_beside_the_scale(frames: int) -> None:
    film_adu = noise_adu(frames, 64, 64, background_adu=100, seed=1)
    assert _scale(film_adu) == pytest.approx(10 * NOISE_PER_SCALE, rel=0.12)


@pytest.mark.parametrize("frames", [1, 7, 8, 60])
def test_molecules_give_a_scale_above_the_noise(frames: int) -> None:
    """A spot's peak is at 176 ADU above 140; the noise is 9 ADU, and low ranks count."""
    film_adu = spots_adu(frames, 48, 48, spots=8)
    assert ((_backgrounds(film_adu) > 115) & (_backgrounds(film_adu) < 140)).all()
    assert 30 < _scale(film_adu) < 300


def test_scale_tells_how_bright_molecules_are_and_not_how_many() -> None:
    few, many = (_scale(spots_adu(200, 48, 48, spots=count)) for count in (3, 12))
    assert many == pytest.approx(few, rel=0.25)


@pytest.mark.parametrize("frames", [8, 11])
def test_scale_is_the_ratio_of_unbiased_cumulants(frames: int) -> None:
    """Pair by pair and triple by triple, as in a textbook."""
    film_adu = spots_adu(frames, 24, 24, spots=6)
    above = film_adu - _backgrounds(film_adu)[:, None, None]
    traces = above.reshape(frames, -1).T.astype(np.float64)
    centred = traces - traces.mean(axis=1, keepdims=True)
    corners = [y * 24 + x for y in range(23) for x in range(23)]
    second = np.mean([np.cov(traces[i], traces[j])[0, 1] for i in corners for j in (i + 1, i + 24)])
    third = np.mean([np.sum(centred[i] * centred[i + 1] * centred[i + 24]) for i in corners])
    third *= frames / ((frames - 1) * (frames - 2))
    assert _scale(film_adu) == pytest.approx(third / second, rel=1e-4)


@pytest.mark.parametrize("frames", [1, 4, 16])
@pytest.mark.parametrize("gain", [2, 4, 8])
def test_levels_follow_a_gain_of_a_power_of_two_exactly(frames: int, gain: int) -> None:
    film_adu = spots_adu(frames, 40, 50)
    brighter_adu = film_adu * np.uint16(gain)
    assert (_backgrounds(brighter_adu) == _backgrounds(film_adu) * np.float32(gain)).all()
    assert _scale(brighter_adu) == gain * _scale(film_adu)


@pytest.mark.parametrize("frames", [4, 16])
def test_levels_follow_an_offset(frames: int) -> None:
    film_adu = spots_adu(frames, 32, 64)
    shifted_adu = film_adu + np.uint16(1000)
    np.testing.assert_allclose(_backgrounds(shifted_adu), _backgrounds(film_adu) + 1000, rtol=1e-6)
    assert _scale(shifted_adu) == pytest.approx(_scale(film_adu), rel=1e-4)


@pytest.mark.parametrize("border", [100, 170])
def test_scale_steps_where_molecules_become_brighter(border: int) -> None:
    """Of a film that was put together from two, at the frame where they meet."""
    dim_adu, bright_adu = (
        spots_adu(border, 40, 40, spots=6),
        spots_adu(240 - border, 40, 40, spots=6),
    )
    film_adu = np.concatenate([dim_adu, 100 + 3 * (bright_adu - 100)])
    before, after = _segments(film_adu)
    assert abs(before.last - border) <= 2
    assert (before.last, after.last) == (after.first, 240)
    assert before.scale_adu == pytest.approx(_scale(dim_adu), rel=0.05)
    assert after.scale_adu == pytest.approx(3 * _scale(bright_adu), rel=0.05)


def test_dark_frames_have_no_structure() -> None:
    film_adu = spots_adu(60, 40, 40, spots=6)
    film_adu[:10] = noise_adu(10, 40, 40)
    film_adu[30] = 100
    everywhere = np.ones((40, 40), bool)
    found = frames_with_structure(film_adu, _backgrounds(film_adu), everywhere)
    assert np.flatnonzero(~found).tolist() == [*range(10), 30]


def test_levels_do_not_change_the_film() -> None:
    film_adu = spots_adu(9, 20, 20)
    before = film_adu.copy()
    _segments(film_adu)
    np.testing.assert_array_equal(film_adu, before)


@pytest.mark.parametrize(
    ("count", "most", "chosen"),
    [(5, 9, [0, 1, 2, 3, 4]), (10, 4, [0, 3, 6, 9]), (1, 8, [0]), (100, 2, [0, 99])],
)
def test_a_sample_is_spread_evenly(count: int, most: int, chosen: list[int]) -> None:
    assert spread_evenly(count, most) == chosen
