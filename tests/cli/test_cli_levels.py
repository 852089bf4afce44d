"""``submit`` says what it saw of levels and pixels: on the terminal, in JSON and in the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import submit, take_for_local
from fakes.films import spots_adu
from fakes.image_files import described
from fakes.transports import ComputingTransport

FRAMES = 100


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())


def _submitted(folder: Path, film_adu: NDArray[np.uint16], *options: str) -> dict[str, Any]:
    """The report in JSON, which is that in the image's metadata."""
    film = folder / "film.tif"
    tifffile.imwrite(film, film_adu, photometric="minisblack")
    result = submit(film, "--json", "--pixel-size-nm", "100", *options)
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    kept = described(folder / "film.sr.ome.tif")
    for name in ("notes", "levels", "background_adu", "scale_adu", "scale_error"):
        assert kept[name] == report[name]
    return report


def test_two_colours(tmp_path: Path) -> None:
    film_adu = spots_adu(FRAMES, 32, 32)
    film_adu[1::2] += 80
    report = _submitted(tmp_path, film_adu)
    (note,) = report["notes"]
    assert note.startswith("every second frame (frame 1 and so on) is ")
    assert "--frames 0::2 or --frames 1::2 takes one of them" in note
    levels = report["levels"]
    steps_adu = np.array(levels["background_adu"]) - 80 * (np.array(levels["frame"]) % 2)
    assert np.ptp(steps_adu) < 8
    assert len(set(levels["scale_adu"])) == 1
    assert 0.001 < report["scale_error"] < 0.15


def test_the_advice_works(tmp_path: Path) -> None:
    """Every second frame from the tenth on: no more to remark on, and frames of the file."""
    film_adu = spots_adu(FRAMES, 32, 32)
    film_adu[1::2] += 80
    report = _submitted(tmp_path, film_adu, "--frames", "10::2")
    assert report["notes"] == []
    assert report["frames"] == 45
    assert report["levels"]["frame"] == list(range(10, FRAMES, 2))


def test_hot_pixels_of_a_region_by_their_place_in_the_file(tmp_path: Path) -> None:
    film_adu = spots_adu(FRAMES, 48, 64)
    film_adu[:, 21, 30] += 900
    film_adu[:, :8] = 0
    report = _submitted(tmp_path, film_adu, "--roi", "16,4,32,32")
    hot, blank = report["notes"]
    assert hot.startswith("1 pixel is hot or flicker (the worst at y 21, x 30)")
    assert blank.startswith("12 % of the field shows no picture")
    image = tifffile.imread(tmp_path / "film.sr.ome.tif")
    assert not image[: 4 * 8].any()
    assert image[4 * 8 :].any()


def test_a_person_reads_the_remarks(tmp_path: Path) -> None:
    film_adu = spots_adu(FRAMES, 32, 32)
    film_adu[:30] = 100
    film = tmp_path / "film.tif"
    tifffile.imwrite(film, film_adu, photometric="minisblack")
    result = submit(film)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    expected = "recon-client: about 30 % of the frames are dark (between frames 0 and 29;"
    assert sum(line.startswith(expected) for line in lines) == 1
