"""Which planes and which region are the film: chosen by options, or refused with the option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.selection import Selection, View, choose, frames_range, region

FILM = Path("film.tif")


def _view(axes: str, shape: tuple[int, ...], selection: Selection) -> View:
    return choose(FILM, axes, shape, selection)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("0:10", (0, 10)),
        (":7", (0, 7)),
        ("5:", (5, None)),
        (" 3:4 ", (3, 4)),
        (":", (0, None)),
        ("0::2", (0, None, 2)),
        ("1:9:3", (1, 9, 3)),
        ("::1", (0, None)),
    ],
)
def test_frames(text: str, frames: tuple[int, int | None]) -> None:
    assert frames_range(text) == frames


@pytest.mark.parametrize("text", ["", "7", "a:b", "-3:5", "1:2:3:4", "1.5:3", "1:2:-1"])
def test_frames_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match="expected A:B, from frame A up to B"):
        frames_range(text)


def test_a_step_of_nothing() -> None:
    with pytest.raises(SettingError, match="a STEP of at least 1"):
        frames_range("::0")


@pytest.mark.parametrize("text", ["5:5", "6:2", ":0"])
def test_frames_of_nothing(text: str) -> None:
    with pytest.raises(SettingError, match="which holds none"):
        frames_range(text)


def test_region() -> None:
    assert region("1, 2,30,40") == (1, 2, 30, 40)
    for text in ("1,2,3", "1,2,3,x", "-1,2,3,4", ""):
        with pytest.raises(SettingError, match="expected x,y,w,h in camera pixels"):
            region(text)


@pytest.mark.parametrize(
    ("axes", "shape", "selection", "where"),
    [
        ("TYX", (9, 20, 30), Selection(), np.s_[:]),
        ("ZYX", (9, 20, 30), Selection(), np.s_[:]),
        ("TCYX", (9, 2, 20, 30), Selection(channel=1), np.s_[:, 1]),
        ("CTYX", (2, 9, 20, 30), Selection(channel=1), np.s_[1, :]),
        ("TZCYX", (9, 3, 2, 20, 30), Selection(channel=0, z=2), np.s_[:, 2, 0]),
        ("PTZCYX", (4, 9, 3, 2, 20, 30), Selection(channel=1, z=1, position=3), np.s_[3, :, 1, 1]),
        ("TZYX", (9, 3, 20, 30), Selection(z=2, frames=(2, 5)), np.s_[2:5, 2]),
        ("TZYX", (9, 3, 20, 30), Selection(z=2, frames=(1, 8, 3)), np.s_[1:8:3, 2]),
        ("CYX", (9, 20, 30), Selection(time_axis="C"), np.s_[:]),
        ("PYX", (9, 20, 30), Selection(time_axis="P", frames=(4, None)), np.s_[4:]),
        ("TYX", (9, 20, 30), Selection(channel=0, z=0), np.s_[:]),
    ],
)
def test_planes(
    axes: str, shape: tuple[int, ...], selection: Selection, where: tuple[slice | int, ...]
) -> None:
    numbers = np.arange(np.prod(shape[:-2])).reshape(shape[:-2])
    view = _view(axes, shape, selection)
    assert list(view.planes) == numbers[where].tolist()
    assert (view.y, view.x) == (slice(0, 20), slice(0, 30))


@pytest.mark.parametrize(
    ("axes", "shape", "selection", "told"),
    [
        ("TCYX", (9, 2, 20, 30), Selection(), "several channels .*--channel 0 to 1"),
        ("TZYX", (9, 3, 20, 30), Selection(), "several planes in z .*--z 0 to 2"),
        ("PTYX", (4, 9, 20, 30), Selection(), "several positions .*--position 0 to 3"),
        ("CYX", (9, 20, 30), Selection(), "if they are frames, --time-axis C takes them so"),
        ("TQYX", (9, 2, 20, 30), Selection(), r"has axes TQYX of \(9, 2, 20, 30\), not T,Y,X"),
        ("QQYX", (3, 9, 20, 30), Selection(), r"has axes QQYX of \(3, 9, 20, 30\), not T,Y,X"),
    ],
)
def test_a_choice_that_was_not_made(
    axes: str, shape: tuple[int, ...], selection: Selection, told: str
) -> None:
    with pytest.raises(FilmError, match=told):
        _view(axes, shape, selection)


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(channel=2, z=0), "channel is 2; expected 0 to 1, as film.tif has axes"),
        (Selection(channel=0, z=0, position=1), "position is 1; expected 0 to 0"),
        (Selection(time_axis="Q"), "time-axis is 'Q'; expected one of T, Z, C"),
        (Selection(channel=0, z=0, frames=(9, None)), "frames is 9:; expected numbers up to 9"),
        (Selection(channel=0, z=0, frames=(0, 10)), "frames is 0:10; .*film.tif has 9 frames"),
        (
            Selection(channel=0, z=0, roi_px=(20, 0, 11, 5)),
            r"roi is 20,0,11,5 .*expected a region inside the 30 x 20 pixels",
        ),
    ],
)
def test_a_choice_that_is_not_there(selection: Selection, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        _view("TZCYX", (9, 3, 2, 20, 30), selection)


def test_region_is_width_first() -> None:
    view = _view("TYX", (9, 20, 30), Selection(roi_px=(10, 2, 20, 18)))
    assert (view.y, view.x) == (slice(2, 20), slice(10, 30))
