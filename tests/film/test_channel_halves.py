"""One of two channels of a film, as a film: halves of the region, or every second frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import SPLITS, Half, Selection
from smlm_pipeline.film.survey import survey
from smlm_pipeline.settings import DEFAULTS


@pytest.fixture
def frames() -> NDArray[np.uint16]:
    return noise_adu(9, 40, 48)


@pytest.fixture
def path(tmp_path: Path, frames: NDArray[np.uint16]) -> Path:
    tifffile.imwrite(tmp_path / "film.tif", frames, photometric="minisblack")
    return tmp_path / "film.tif"


@pytest.mark.parametrize(
    ("half", "part"),
    [
        ("left", np.s_[:, :, :24]),
        ("right", np.s_[:, :, 24:]),
        ("top", np.s_[:, :20]),
        ("bottom", np.s_[:, 20:]),
        ("first", np.s_[::2]),
        ("second", np.s_[1::2]),
    ],
)
def test_halves(path: Path, frames: NDArray[np.uint16], half: Half, part: Any) -> None:
    with open_film(path, Selection(half=half)) as film:
        np.testing.assert_array_equal(film.read_all(), frames[part])


def test_halves_of_a_part(path: Path, frames: NDArray[np.uint16]) -> None:
    """The region is chosen first, and then cut; so are the frames."""
    roi = Selection(frames=(1, 8), roi_px=(4, 2, 36, 30), half="right")
    with open_film(path, roi) as film:
        np.testing.assert_array_equal(film.read_all(), frames[1:8, 2:32, 22:40])
        assert (film.corner.y_px, film.corner.x_px) == (2, 22)
    with open_film(path, Selection(frames=(1, 8), half="second")) as film:
        np.testing.assert_array_equal(film.read_all(), frames[2:8:2])
        assert list(film.corner.frames) == [2, 4, 6]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(roi_px=(0, 0, 47, 40), half="left"), "is 47 pixels wide, which is odd"),
        (Selection(roi_px=(0, 0, 48, 37), half="bottom"), "is 37 pixels high, which is odd"),
        (Selection(frames=(0, None, 2), half="first"), "expected frames without a step"),
    ],
)
def test_what_cannot_be_halved(path: Path, selection: Selection, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        open_film(path, selection)


def test_halves_that_are_too_small(tmp_path: Path, frames: NDArray[np.uint16]) -> None:
    tifffile.imwrite(tmp_path / "small.tif", frames[:, :, :20], photometric="minisblack")
    with pytest.raises(FilmError, match="has frames of 40 x 10 pixels"):
        open_film(tmp_path / "small.tif", Selection(half="left"))
    with pytest.raises(FilmError, match="one frame"):
        open_film(tmp_path / "small.tif", Selection(frames=(0, 1), half="first"))


def test_a_picture_is_a_film_on_demand(tmp_path: Path, frames: NDArray[np.uint16]) -> None:
    tifffile.imwrite(tmp_path / "beads.tif", frames[0], photometric="minisblack")
    with open_film(tmp_path / "beads.tif", Selection(half="left"), frames_least=1) as film:
        np.testing.assert_array_equal(film.read_all(), frames[:1, :, :24])
    with pytest.raises(FilmError, match="holds one frame"):
        open_film(tmp_path / "beads.tif", Selection(half="left"))


def test_alike_halves_are_different_films() -> None:
    """A checkpoint of one of them is never continued by the other."""
    hashes = set()
    for half in (None, *(half for pair in SPLITS.values() for half in pair)):
        film = ArrayFilm(noise_adu(9, 40, 48))
        film.selection = Selection(half=half)
        hashes.add(survey(film, DEFAULTS).film_sha256)
    assert len(hashes) == 7
