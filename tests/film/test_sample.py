"""The facts of sampled frames: levels over time, dark frames, clipping."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu, spots_adu
from smlm_pipeline.film.sample import Sample
from smlm_pipeline.film.survey import survey
from smlm_pipeline.settings import Settings

FILM_ADU = spots_adu(100, 32, 40)


def _sample(film_adu: NDArray[np.uint16]) -> Sample:
    return survey(ArrayFilm(film_adu), Settings()).sample


def test_usual_levels_leave_out_dark_frames() -> None:
    """Though they are most of the film."""
    film_adu = np.concatenate([noise_adu(150, 32, 40, background_adu=3), FILM_ADU])
    usual, sample = _sample(FILM_ADU), _sample(film_adu)
    assert np.flatnonzero(sample.dark).tolist() == list(range(150))
    assert sample.background_adu == pytest.approx(usual.background_adu, abs=0.5)
    assert sample.scale_adu == pytest.approx(usual.scale_adu, rel=0.05)


def test_usual_levels_of_a_film_that_is_dark() -> None:
    sample = _sample(np.full((20, 16, 16), 100, np.uint16))
    assert sample.dark.all()
    assert (sample.background_adu, sample.scale_adu) == (100, 1)


def test_levels_over_time_for_json() -> None:
    sample = _sample(FILM_ADU)
    places, levels = sample.levels(64)
    assert (places[0], places[-1], len(places)) == (0, 99, 64)
    assert levels["background_adu"][5] == round(float(sample.backgrounds_adu[places[5]]), 2)
    assert set(levels["scale_adu"]) == {round(sample.scale_adu, 2)}
    assert len(sample.levels(1)[0]) == 1
    assert sample.levels(1000)[0].tolist() == list(range(100))


@pytest.mark.parametrize("clipped_adu", [180, 255])
def test_clipping(clipped_adu: int) -> None:
    film_adu = FILM_ADU.clip(0, clipped_adu)
    sample = _sample(film_adu)
    assert sample.clipping is not None
    assert sample.clipping.value_adu == clipped_adu
    assert sample.clipping.share == pytest.approx((film_adu == clipped_adu).mean())


def test_a_brightest_molecule_is_not_clipping() -> None:
    assert _sample(FILM_ADU).clipping is None


def test_saturated_pixels_are_faulty_and_not_clipping() -> None:
    film_adu = FILM_ADU.copy()
    film_adu[:, 3, 5] = 65535
    assert _sample(film_adu).clipping is None


@pytest.mark.parametrize("film_adu", [np.zeros((9, 16, 16), np.uint16), FILM_ADU // 8])
def test_films_of_few_values_are_not_clipped(film_adu: NDArray[np.uint16]) -> None:
    assert _sample(film_adu).clipping is None
