"""Checks of an image: each has a verdict on films that are right, and on those that are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, spots_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.checks import Check, checks, notes_of
from smlm_pipeline.run.comparing import Comparison
from smlm_pipeline.settings import Settings

TRAINED = {"sigma_px": (0.8, 2.0), "molecules_per_100_px": (0.0, 50.0)}
GOOD: dict[str, Any] = {"pearson": 0.99, "error": 1.0, "spread": 8.0, "noise": 0.5, "sigma_px": 1.2}


def _run(film_adu: NDArray[np.uint16]) -> tuple[Comparison, Survey]:
    result = reconstruct(ArrayFilm(film_adu), ComputingTransport(), Settings(error_map=True))
    assert result.comparison is not None
    comparison = result.comparison
    return replace(comparison, map=replace(comparison.map, **GOOD)), result.survey


@pytest.fixture(scope="module")
def steady() -> tuple[Comparison, Survey]:
    comparison, survey = _run(spots_adu(24, 40, 40))
    places = replace(comparison.places, deviation=0.05, deviation_error=0.01)
    return replace(comparison, places=places), survey


def _check(name: str, found: list[Check]) -> Check:
    (check,) = [each for each in found if each.name == name]
    return check


def test_all_is_well(steady: tuple[Comparison, Survey]) -> None:
    found = checks(*steady, Corner(), TRAINED)
    assert len(found) == 9
    assert {check.verdict for check in found} == {"ok"}
    assert notes_of(*steady, TRAINED) == []


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("agreement with the wide field", {"error": 6.0}, "the error map shows where"),
        ("agreement with the wide field", {"sigma_px": float("nan")}, "nothing in common"),
        ("width of the spots", {"sigma_px": 2.4}, "outside of the 0.8 to 2"),
        ("width of the spots", {"sigma_px": 3.99}, "sigma 3.99 or more"),
    ],
)
def test_maps_that_are_wrong(
    name: str, changed: dict[str, Any], words: str, steady: tuple[Comparison, Survey]
) -> None:
    comparison, survey = steady
    wrong = replace(comparison, map=replace(comparison.map, **changed))
    check = _check(name, checks(wrong, survey, Corner(), TRAINED))
    assert check.verdict == "look"
    assert words in check.text
    assert any(words in note for note in notes_of(wrong, survey, TRAINED))


def test_density_gridding_and_time(steady: tuple[Comparison, Survey]) -> None:
    comparison, survey = steady
    dense = 0.6 * comparison.frame_count
    wrong = replace(
        comparison,
        places=replace(comparison.places, dense=dense, deviation=0.4, deviation_error=0.05),
        molecules_per_frame=np.array([90.0, 2, 2, 2, 2, 2, 2, 2, 2, 2]),
        first_frame=np.arange(10),
    )
    found = checks(wrong, survey, Corner(), TRAINED)
    density = _check("density", found)
    assert density.verdict == "look"
    assert "more than the 50 that the network was trained up to" in density.text
    assert "even to 40 (+-5) %" in _check("gridding", found).text
    assert _check("gridding", found).verdict == "look"
    assert _check("molecules over time", found).verdict == "look"


def test_what_cannot_be_checked(steady: tuple[Comparison, Survey]) -> None:
    """A running server does not state what its network was trained on."""
    comparison, survey = steady
    unknown = replace(
        comparison,
        places=replace(comparison.places, deviation_error=float("inf")),
        molecules_per_frame=np.empty(0),
        first_frame=np.empty(0, np.int64),
    )
    found = checks(unknown, survey, Corner(), {})
    names = {check.name for check in found if check.verdict == "not checked"}
    assert names == {"density", "width of the spots", "gridding", "molecules over time"}
    assert "does not state its network's range" in _check("density", found).text


def test_remarks_on_the_film_are_checks() -> None:
    film_adu = spots_adu(24, 40, 40)
    film_adu[:, 7, 9] += 3000
    film_adu[1::2] += 80
    comparison, survey = _run(film_adu)
    found = checks(comparison, survey, Corner(), TRAINED)
    assert "hot" in _check("pixels of the camera", found).text
    assert "brighter" in _check("light over time and field", found).text
    assert _check("pixels of the camera", found).verdict == "look"
    assert not any("hot" in note for note in notes_of(comparison, survey, TRAINED))


IMAGE_CHECKS = {
    *("agreement with the wide field", "density", "width of the spots"),
    *("gridding", "molecules over time"),
}


@pytest.mark.parametrize(
    ("per_frame", "scale_error", "words"),
    [
        (0.0, 0.1, "the image has no molecule in all frames (expected 30)"),
        (2e-5, 0.1, "the image has no molecule in all frames"),
        (0.5, 0.1, "the image has some 12 molecules in all frames"),
        (1e-4, None, "no more molecules than are found in noise"),
    ],
)
def test_an_image_without_molecules_gives_nothing_to_judge(
    per_frame: float, scale_error: float | None, words: str, steady: tuple[Comparison, Survey]
) -> None:
    """Numbers of a few molecules by chance are not those of an image."""
    comparison, survey = steady
    frames = 24 if scale_error == 0.1 else 400_000
    rates = np.zeros(8)
    rates[3] = 8 * per_frame  # all of them in one part of the film
    empty = replace(comparison, molecules_per_frame=rates, frame_count=frames)
    survey = replace(survey, sample=replace(survey.sample, scale_error=scale_error))
    found = [each for each in checks(empty, survey, Corner(), TRAINED) if each.name in IMAGE_CHECKS]
    assert len(found) == 5
    assert {each.verdict for each in found} == {"not checked"}
    assert all(words in each.text and "nothing to judge" in each.text for each in found)
    assert notes_of(empty, survey, TRAINED) == []
