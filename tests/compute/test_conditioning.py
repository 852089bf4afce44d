"""How frames are prepared: the same in every chunk, finite on every film, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu, spots_adu
from smlm_pipeline.compute.conditioning import (
    BACKGROUND_PIXELS,
    Conditioning,
    levels_with_scale,
)
from smlm_pipeline.compute.levels import NOISE_PER_SCALE, Segment
from smlm_pipeline.compute.pixel_faults import PixelFaults
from smlm_pipeline.film.survey import conditioning_of, survey
from smlm_pipeline.run.memory_budget import SURVEY_BYTES, SURVEY_FRAME_BYTES
from smlm_pipeline.settings import Settings

Frames = NDArray[np.uint16]


def _one_line(frames: int, *, column: bool) -> Frames:
    film_adu = np.zeros((frames, 16, 20), np.uint16)
    line = (slice(None), slice(None), 5) if column else (slice(None), 5)
    film_adu[line] = noise_adu(frames, 16, 20)[line]
    return film_adu


def _few_lit(frames: int) -> Frames:
    film_adu = np.full((frames, 16, 16), 100, np.uint16)
    film_adu[: frames // 10 + 1] = spots_adu(frames // 10 + 1, 16, 16)
    return film_adu


def _one_pixel(frames: int) -> Frames:
    film_adu = np.full((frames, 16, 16), 100, np.uint16)
    film_adu[:, 3, 4] += np.arange(frames, dtype=np.uint16)
    return film_adu


def _counts(frames: int) -> Frames:
    return np.random.default_rng(1).poisson(0.1, (frames, 32, 32)).astype(np.uint16)


FILMS: dict[str, Callable[[int], Frames]] = {
    "spots": lambda frames: spots_adu(frames, 16, 16),
    "noise": lambda frames: noise_adu(frames, 16, 17),
    "all 0": lambda frames: np.zeros((frames, 16, 16), np.uint16),
    "all 65535": lambda frames: np.full((frames, 16, 16), 65535, np.uint16),
    "one pixel changes": _one_pixel,
    "one row": lambda frames: _one_line(frames, column=False),
    "one column": lambda frames: _one_line(frames, column=True),
    "constant but a few frames": _few_lit,
    "eight bits": lambda frames: (spots_adu(frames, 32, 32) // 8).clip(0, 255).astype(np.uint16),
    "clipped": lambda frames: spots_adu(frames, 32, 32).clip(0, 160),
    "few photons": _counts,
    "the same frame": lambda frames: np.repeat(spots_adu(1, 32, 32), frames, axis=0),
    "every frame twice": lambda frames: np.repeat(spots_adu(frames, 32, 32), 2, axis=0)[:frames],
    "one row of pixels": lambda frames: spots_adu(frames, 1, 64),
    "one column of pixels": lambda frames: spots_adu(frames, 64, 1),
    "one pixel": lambda frames: spots_adu(frames, 1, 1),
    "random": lambda frames: np.random.default_rng(0).integers(
        0, 65536, (frames, 16, 16), np.uint16
    ),
}


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 33, 100])
@pytest.mark.parametrize("name", FILMS)
def test_every_film_has_finite_levels_however_it_is_cut(name: str, frames: int) -> None:
    """No division by zero either: a warning is an error in these tests."""
    film_adu = FILMS[name](frames)
    before = film_adu.copy()
    conditioning = survey(ArrayFilm(film_adu), Settings()).conditioning
    shown_adu, levels_adu = conditioning.apply(film_adu, 0)
    assert np.isfinite(levels_adu).all()
    assert (levels_adu[:, 1] > 0.01).all()
    for first in range(0, frames, 6):
        part_adu, part_levels_adu = conditioning.apply(film_adu[first : first + 6], first)
        np.testing.assert_array_equal(part_adu, shown_adu[first : first + 6])
        np.testing.assert_array_equal(part_levels_adu, levels_adu[first : first + 6])
    np.testing.assert_array_equal(film_adu, before)


@pytest.mark.parametrize("name", ["spots", "noise", "eight bits", "few photons", "clipped"])
def test_steady_films_are_the_same_array(name: str) -> None:
    film_adu = FILMS[name](100)
    assert conditioning_of(film_adu).apply(film_adu, 0)[0] is film_adu


@pytest.mark.parametrize("column", [False, True])
def test_a_line_of_noise_has_the_scale_of_its_noise(column: bool) -> None:
    film_adu = _one_line(100, column=column)
    scale_adu = conditioning_of(film_adu).segments[0].scale_adu
    assert scale_adu == pytest.approx(10 * NOISE_PER_SCALE, rel=0.2)


@pytest.mark.parametrize("frames", [2, 8, 100])
def test_the_same_frame_has_a_scale_in_space(frames: int) -> None:
    """What does not fluctuate but for rounding is not taken for fluctuations."""
    film_adu = FILMS["the same frame"](frames)
    assert 10 < conditioning_of(film_adu).segments[0].scale_adu < 400


def test_segments_give_the_scales_of_their_frames() -> None:
    none = np.zeros((4, 4), bool)
    segments = Segment(0, 5, 10.0), Segment(5, 7, 30.0), Segment(7, 20, 20.0)
    conditioning = Conditioning(PixelFaults(none, none, none, None), 0.0, segments)
    scales_adu = conditioning.scales_adu(np.arange(3, 9))
    assert scales_adu.tolist() == [10, 10, 30, 30, 20, 20]


def test_levels_under_a_given_scale() -> None:
    film_adu = spots_adu(5, 24, 24)
    levels_adu = levels_with_scale(film_adu, 50.0)
    assert levels_adu.shape == (5, 2)
    assert (levels_adu[:, 1] == 50).all()
    np.testing.assert_array_equal(
        levels_adu[:, 0], conditioning_of(film_adu).backgrounds_adu(film_adu)
    )


def test_large_frames_give_their_background_by_a_part_of_their_pixels() -> None:
    film_adu = noise_adu(8, 300, 300)
    backgrounds_adu = conditioning_of(film_adu).backgrounds_adu(film_adu)
    ordered = np.sort(film_adu.reshape(8, -1), axis=1)
    whole_adu = ordered[:, 1800:18000].mean(axis=1)
    assert film_adu[0].size > 4 * BACKGROUND_PIXELS
    np.testing.assert_allclose(backgrounds_adu, whole_adu, atol=0.04 * 10)


@pytest.mark.parametrize("flicker", [0.0, 0.2])
def test_a_bead_changes_neither_scale_nor_background(flicker: float) -> None:
    """It is no uneven background: subtracted, it would change the frames elsewhere."""
    film_adu = spots_adu(100, 40, 40)
    rng, (y, x) = np.random.default_rng(1), np.mgrid[:40, :40]
    spot = 5000 * np.exp(-((y - 12) ** 2 + (x - 28) ** 2) / 2.4)
    light = spot * rng.normal(1, flicker, (100, 1, 1)).clip(0)
    with_bead_adu = (film_adu + rng.poisson(light)).clip(0, 65535).astype(np.uint16)
    plain, conditioning = conditioning_of(film_adu), conditioning_of(with_bead_adu)
    assert conditioning.shape is None
    assert not conditioning.faults.any_of.any()
    scale_adu = conditioning.segments[0].scale_adu
    assert scale_adu == pytest.approx(plain.segments[0].scale_adu, rel=0.05)
    np.testing.assert_allclose(
        conditioning.backgrounds_adu(with_bead_adu), plain.backgrounds_adu(film_adu), atol=1
    )


def test_a_cell_that_is_brighter_than_beads_is_an_uneven_background() -> None:
    film_adu = spots_adu(100, 48, 48)
    plain = conditioning_of(film_adu)
    y, x = np.mgrid[:48, :48] - 20
    cell = 400 / (1 + np.exp(np.hypot(y, x) - 15))
    lit_adu = film_adu + np.random.default_rng(1).poisson(cell, film_adu.shape).astype(np.uint16)
    conditioning = conditioning_of(lit_adu)
    assert conditioning.shape is not None
    assert conditioning.shape.largest_adu == pytest.approx(400, rel=0.1)
    scale_adu = conditioning.segments[0].scale_adu
    assert scale_adu == pytest.approx(plain.segments[0].scale_adu, rel=0.08)


def _with_everything(size_px: int, frames: int) -> Frames:
    """Hot and dead pixels, an uneven background, and molecules that become brighter."""
    tile = spots_adu(frames, 64, 64, spots=12)
    tile[frames // 2 :] = 100 + 3 * (tile[frames // 2 :] - 100)
    film_adu = np.tile(tile, (1, size_px // 64, size_px // 64))
    film_adu[:, size_px // 4 : size_px // 2] += 400
    film_adu[:, 3, 5] = 20000 + np.arange(frames, dtype=np.uint16)
    film_adu[:, 77] = 0
    return film_adu


def test_memory_is_within_the_budget_also_with_faults_shape_and_segments() -> None:
    film_adu = _with_everything(256, 160)
    film = ArrayFilm(film_adu)
    survey(ArrayFilm(film_adu[:10]), Settings())
    tracemalloc.start()
    seen = survey(film, Settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    conditioning = seen.conditioning
    assert conditioning.faults.hot.any()
    assert conditioning.faults.constant.any()
    assert conditioning.shape is not None
    assert len(conditioning.segments) > 1
    sample_bytes = film_adu.nbytes
    assert peak < sample_bytes + SURVEY_FRAME_BYTES * 256 * 256 + SURVEY_BYTES
