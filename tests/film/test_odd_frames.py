"""Frames of another kind at the ends of a film are noticed; shutters, pulses, bleaching are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import one_line, submit
from fakes.films import spots_adu
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.odd_frames import odd_ends
from smlm_pipeline.film.selection import Selection

Frames = NDArray[np.float64]
COUNT, EDGE_PX = 40, 32
DARK_ADU = 100.0
"""Reading without light."""


def film_of(light_adu: Frames | float) -> NDArray[np.uint16]:
    """Spots, and light of so many ADU in each frame, with its noise."""
    random = np.random.default_rng(5)
    light = np.broadcast_to(light_adu, COUNT)[:, None, None] * np.ones((EDGE_PX, EDGE_PX))
    spots = spots_adu(COUNT, EDGE_PX, EDGE_PX).astype(np.float64)
    return (spots + random.poisson(light)).clip(0, 65535).astype(np.uint16)


def wide(film: NDArray[np.uint16], factor: float, count: int = 1) -> NDArray[np.uint16]:
    mean = film.mean(axis=0) - DARK_ADU
    return np.repeat((DARK_ADU + factor * mean)[None].astype(np.uint16), count, axis=0)


def ends(film: NDArray[np.uint16]) -> tuple[int, int]:
    return odd_ends(lambda first, last: film[first:last], len(film), film[0].nbytes)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("factor", [4, 20])
def test_wide_field_is_noticed(count: int, factor: float) -> None:
    film = film_of(30)
    assert ends(np.concatenate([wide(film, factor, count), film])) == (count, 0)
    assert ends(np.concatenate([film, wide(film, factor, count)])) == (0, count)


NUMBERS = np.arange(COUNT)
ORDINARY = {
    "steady": film_of(30),
    "shutter closed at first": film_of(30.0 * (NUMBERS >= 3)),
    "shutter closed in one frame": film_of(30.0 * (NUMBERS != 1)),
    "bleaching fast": film_of(20 + 200 * np.exp(-NUMBERS / 1.5)),
    "bleaching": film_of(20 + 200 * np.exp(-NUMBERS / 10)),
    "pulses": film_of(20 + 200.0 * (NUMBERS % 10 == 0)),
    "two colours": film_of(20 + 200.0 * (NUMBERS % 2)),
    "dense, then sparse": film_of(20 + 200.0 * (NUMBERS < 20)),
    "constant": np.full((COUNT, EDGE_PX, EDGE_PX), 100, np.uint16),
}


@pytest.mark.parametrize("film", ORDINARY.values(), ids=ORDINARY.keys())
def test_no_false_alarm(film: NDArray[np.uint16]) -> None:
    assert ends(film) == (0, 0)


def test_page_of_its_own_is_refused(tmp_path: Path) -> None:
    path, film = tmp_path / "film.tif", film_of(30)
    tifffile.imwrite(path, wide(film, 8)[0], photometric="minisblack")
    tifffile.imwrite(path, film, append=True, photometric="minisblack")
    refused = submit(path, "--dry-run")
    assert refused.exit_code == 3
    assert "begins with frame 0 of another kind" in one_line(refused)
    assert "with --frames 1:, or all with --frames :41" in one_line(refused)
    for frames, count in (("1:", COUNT), (":41", COUNT + 1)):
        taken = submit(path, "--dry-run", "--frames", frames)
        assert taken.stdout.startswith(f"{count} frames"), taken.output
        assert "another kind" not in taken.stderr


@pytest.mark.parametrize("at_end", [False, True])
def test_page_among_others_is_noted(tmp_path: Path, at_end: bool) -> None:
    path, film = tmp_path / "film.tif", film_of(30)
    parts = [wide(film, 8), film]
    tifffile.imwrite(
        path,
        np.concatenate(parts[::-1] if at_end else parts),
        imagej=True,
        metadata={"axes": "TYX"},
    )
    noted = submit(path, "--dry-run")
    assert noted.exit_code == 0
    advice = "--frames :40" if at_end else "--frames 1:"
    assert f"frame {40 if at_end else 0} of film.tif looks like another kind" in noted.stderr
    assert advice in noted.stderr


def test_equal_light_in_a_page_of_its_own_is_noted(tmp_path: Path) -> None:
    path, film = tmp_path / "film.tif", film_of(30)
    for part in (film[:1], film[1:]):
        tifffile.imwrite(path, part.squeeze(), append=path.exists(), photometric="minisblack")
    with open_film(path) as reader:
        assert "kept apart in the file" in reader.notes_on_ends()[0]
    with open_film(path, Selection(frames=(1, None))) as reader:
        assert reader.notes_on_ends() == ()


def test_blocks_of_a_film_are_none(tmp_path: Path) -> None:
    path, film = tmp_path / "film.tif", film_of(30)
    with tifffile.TiffWriter(path) as tif:
        for first in range(0, COUNT, 16):
            tif.write(film[first : first + 16], photometric="minisblack")
    with open_film(path) as reader:
        assert reader.notes_on_ends() == ()
    with tifffile.TiffWriter(path) as tif:  # as a program saves what has come meanwhile
        for part in (film[:10], film[10:]):
            tif.write(part, photometric="minisblack")
    with open_film(path) as reader:
        assert reader.notes_on_ends() == ()


def test_frames_that_cannot_be_read_are_not_compared() -> None:
    def read(first: int, last: int) -> NDArray[np.uint16]:
        raise FilmError("damaged")

    assert odd_ends(read, COUNT, 100) == (0, 0)
