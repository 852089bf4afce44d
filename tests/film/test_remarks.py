"""A film is remarked on in words and numbers: one sentence for each kind, none on a steady film."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.films import ArrayFilm, noise_adu, spots_adu
from smlm_pipeline.film.remarks import remarks
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.film.survey import survey
from smlm_pipeline.settings import Settings

FRAMES, SIZE_PX = 120, 40
CORNER = Corner(y_px=100, x_px=200, frames=range(50, 2000, 2), step=2)
"""As of ``--roi 200,100,40,40 --frames 50::2``."""


def _film() -> NDArray[np.uint16]:
    return spots_adu(FRAMES, SIZE_PX, SIZE_PX)


def _remarks(film_adu: NDArray[np.uint16], corner: Corner | None = None) -> list[str]:
    return remarks(survey(ArrayFilm(film_adu), Settings()), corner or Corner())


def _remark(film_adu: NDArray[np.uint16], corner: Corner | None = None) -> str:
    (remark,) = _remarks(film_adu, corner)
    return remark


def _number(pattern: str, remark: str) -> float:
    found = re.search(pattern, remark)
    assert found, remark
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize("frames", [60, FRAMES])
def test_none_on_a_steady_film(frames: int) -> None:
    assert _remarks(spots_adu(frames, SIZE_PX, SIZE_PX)) == []


@pytest.mark.parametrize("frames", [1, 2])
def test_films_too_short_to_show_the_brightness_of_a_molecule(frames: int) -> None:
    remark = _remark(spots_adu(frames, SIZE_PX, SIZE_PX))
    assert "too little to show how bright a molecule is: counts may be wrong by a factor" in remark


def test_few_frames_of_a_small_region_state_their_error() -> None:
    remark, _ = _remarks(spots_adu(5, SIZE_PX, SIZE_PX)[:, :14, :14])
    assert remark.startswith("how bright a molecule is, and so every count, is known to some ")
    assert 15 < _number(r"some ([\d,]+) %", remark) < 60


def test_films_too_short_to_show_how_long_molecules_shine() -> None:
    remark = _remark(spots_adu(12, SIZE_PX, SIZE_PX))
    assert remark.startswith("12 frames are too few to tell for how many of them a molecule shines")
    assert _remarks(spots_adu(16, SIZE_PX, SIZE_PX)) == []


@pytest.mark.parametrize("frames", [16, 17, FRAMES])
def test_noise_is_no_molecule(frames: int) -> None:
    remark = _remark(noise_adu(frames, SIZE_PX, SIZE_PX))
    assert remark.startswith("nothing that blinks stands out of the noise: ")


def test_every_second_frame_is_brighter() -> None:
    film_adu = _film()
    film_adu[1::2] += 80
    remark = _remark(film_adu)
    assert remark.startswith("every second frame (frame 1 and so on) is ")
    assert _number(r"is ([\d,]+) ADU brighter", remark) == pytest.approx(80, abs=1)
    assert ": two colours, or a shutter? --frames 0::2 or --frames 1::2 takes one of them" in remark
    assert "--channels alternating makes one image of both" in remark


def test_numbers_of_frames_are_those_of_the_file() -> None:
    film_adu = _film()
    film_adu[::3] += 80
    remark = _remark(film_adu, CORNER)
    assert remark.startswith("every third frame (frame 50 and so on) is ")
    assert "--frames 50::6 or --frames 52::6 or --frames 54::6 takes one of them" in remark
    assert "--channels" not in remark


def test_pulses() -> None:
    film_adu = _film()
    film_adu[3::10] += 200
    remark = _remark(film_adu)
    assert remark.startswith("every 10th frame (frame 3 and so on) is 200 ADU brighter: pulses")


@pytest.mark.parametrize(
    ("dark", "where"),
    [
        (slice(0, 30), "about 25 % of the frames are dark (between frames 0 and 29;"),
        (slice(60, 120), "about 50 % of the frames are dark (between frames 60 and 119;"),
        (slice(7, 8), "about 0.83 % of the frames are dark (frame 7;"),
    ],
)
def test_dark_frames(dark: slice, where: str) -> None:
    film_adu = _film()
    film_adu[dark] = noise_adu(FRAMES, SIZE_PX, SIZE_PX, background_adu=60)[dark]
    remark = next(remark for remark in _remarks(film_adu) if "dark" in remark)
    assert remark == f"{where} shutter closed?): nothing is found in them"


def test_clipping_has_a_share() -> None:
    film_adu = _film().clip(0, 255)
    share = 100 * (film_adu == 255).mean()
    remark = _remark(film_adu)
    assert "of the values are clipped at 255: the brightest molecules have more light" in remark
    assert "the scale allows for it" in remark
    assert _number(r"^([\d.]+) %", remark) == pytest.approx(share, rel=0.05)


def test_clipping_beyond_what_the_scale_allows_for() -> None:
    remark = _remark(_film().clip(0, 186))
    assert "counts may be far too high; film with a lower gain" in remark


def test_hot_pixels_and_the_worst_by_its_place_in_the_file() -> None:
    film_adu = _film()
    film_adu[:, 5, 7] += 500
    assert _remark(film_adu, CORNER).startswith(
        "1 pixel is hot or flicker (the worst at y 105, x 207)"
    )
    film_adu[::3, 20, 30] += 5000
    assert _remark(film_adu).startswith("2 pixels are hot or flicker (the worst at y 20, x 30)")


def test_pixels_that_never_change() -> None:
    film_adu = _film()
    film_adu[:, 5, 7] = 0
    assert _remark(film_adu, CORNER).startswith("1 pixel never changes (the first at y 105, x 207)")
    film_adu[:, 3, 9] = 0
    assert _remark(film_adu).startswith("2 pixels never change (the first at y 3, x 9)")


def test_blank_share() -> None:
    film_adu = _film()
    film_adu[:, :, :10] = 0
    assert _remark(film_adu).startswith("25 % of the field shows no picture (constant values,")


def test_borders_that_move() -> None:
    film_adu = _film()
    for index, frame in enumerate(film_adu):
        frame[: index % 5] = 0
    assert _remark(film_adu).startswith("parts of the frames hold nothing but the value 0 ")


def test_background_that_changes() -> None:
    film_adu = _film() + np.linspace(400, 0, FRAMES).astype(np.uint16)[:, None, None]
    remark = _remark(film_adu)
    low, high = (_number(pattern, remark) for pattern in (r"from ([\d,]+) to", r"to ([\d,]+) ADU"))
    assert high - low == pytest.approx(0.96 * 400, rel=0.05)
    assert _number(r"is ([\d.]+) times the scale", remark) == pytest.approx(4.4, abs=0.5)


def test_uneven_background() -> None:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - 20
    cell = 200 / (1 + np.exp((np.hypot(y, x) - 12) / 1.5))
    light = np.random.default_rng(1).poisson(cell, (FRAMES, SIZE_PX, SIZE_PX))
    remark = _remark((_film() + light).astype(np.uint16))
    assert _number(r"^the background differs by ([\d,]+) ADU", remark) == pytest.approx(
        200, rel=0.1
    )
    assert remark.endswith("the difference is subtracted")


def test_scale_steps() -> None:
    film_adu = _film()
    film_adu[70:] = 100 + 3 * (film_adu[70:] - 100)
    remark = next(remark for remark in _remarks(film_adu, CORNER) if "molecules become" in remark)
    assert remark.startswith("molecules become brighter at about frame ")
    assert _number(r"frame (\d+) ", remark) == pytest.approx(50 + 2 * 70, abs=4)
    before, after = (_number(p, remark) for p in (r"scale ([\d,]+), then", r"then ([\d,]+) ADU"))
    assert after / before == pytest.approx(3, rel=0.15)
