"""What ``submit --channels`` refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import names, one_line, submit, take_for_local
from fakes.films import noise_adu
from fakes.transports import ComputingTransport
from smlm_bench.channels.films import Geometry, bead_film

QUIET = ("--pixel-size-nm", "100", "--quiet")


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    take_for_local(monkeypatch, ComputingTransport())
    tifffile.imwrite(tmp_path / "film.tif", noise_adu(8, 64, 96), photometric="minisblack")
    return tmp_path / "film.tif"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["left"], "channels is 'left'; expected left,right, top,bottom, alternating"),
        (["left,right", "--molecules", "a.txt"], "a.txt"),
        (["left,right", "--drift", "no.csv"], "no.csv"),
        (["left,right", "--partial", "p.npz"], "--partial sums a part of one channel"),
        (["left,right", "--partial", "p.npz", "--resume"], "leave out --partial"),
        (["left,right", "--cmap", "gray"], "are for a picture of one channel"),
        (["left,right", "--colour-bar"], "are for a picture of one channel"),
        (["left,right", "--channel-names", "one"], "expected two names as mEos,Alexa647"),
        (["left,right", "--channel-names", "one,one"], "expected two unlike names"),
        (
            ["left,right", "--registration", "off", "--registration-film", "b.tif"],
            "are both given; expected one of them",
        ),
        (["left,right", "--roi", "0,0,95,64"], "is 95 pixels wide, which is odd"),
        (["top,bottom", "--roi", "0,0,96,63"], "is 63 pixels high, which is odd"),
        (["left,right", "--roi", "0,0,24,64"], "the network needs at least"),
        (["alternating", "--frames", "0::2"], "expected frames without a step"),
        (["alternating", "--frames", "0:2"], "of which 1 is to be taken; expected at least 2"),
    ],
)
def test_refusals(film: Path, options: list[str], message: str) -> None:
    result = submit(film, "--channels", *options, *QUIET)
    assert result.exit_code != 0
    assert message in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize(
    "options",
    [
        ["--channel-names", "a,b"],
        ["--registration", "off"],
        ["--registration-film", "beads.tif"],
    ],
)
def test_options_that_need_channels(film: Path, options: list[str]) -> None:
    result = submit(film, *options, *QUIET)
    assert result.exit_code != 0
    assert f"{' '.join(options[:1])}" in one_line(result)
    assert "is given without --channels" in one_line(result)


def test_beads_of_another_size(film: Path) -> None:
    beads = film.with_name("beads.tif")
    tifffile.imwrite(beads, bead_film("left,right", Geometry((0, 0)), edge_px=64))
    result = submit(film, "--channels", "left,right", "--registration-film", beads, *QUIET)
    assert "a channel of beads.tif is 64 x 64 pixels (width x height), one of film.tif 48 x 64" in (
        one_line(result)
    )


def test_beads_that_tell_nothing(film: Path) -> None:
    beads = film.with_name("beads.tif")
    tifffile.imwrite(beads, noise_adu(1, 64, 96)[0], photometric="minisblack")
    result = submit(film, "--channels", "left,right", "--registration-film", beads, *QUIET)
    assert "has 0 beads in the first channel and 0 in the second one" in one_line(result)
    assert names(film.parent) == ["beads.tif", "film.tif"]
    missing = submit(film, "--channels", "left,right", "--registration-film", "no.tif", *QUIET)
    assert "no.tif" in one_line(missing)


def test_an_image_that_exists_is_kept(film: Path) -> None:
    first = submit(film, "--channels", "left,right", *QUIET)
    assert first.exit_code == 0
    before = np.asarray(tifffile.imread(film.with_name("film.sr.ome.tif")))
    again = submit(film, "--channels", "top,bottom", *QUIET)
    assert "film.sr.ome.tif exists; expected a new name" in one_line(again)
    np.testing.assert_array_equal(tifffile.imread(film.with_name("film.sr.ome.tif")), before)
