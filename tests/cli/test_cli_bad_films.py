"""Every bad film of the design, through the command: its whole message, exit code 3, no file.

A message says what was wrong, what was expected and what to do. Numbers that are not whole
are no bad film: they are rescaled, and that is said (``test_cli.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from fakes.command_line import invoke, names, one_line, submit, take_for_local
from fakes.films import damage, spots_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request

FRAMES_ADU = spots_adu(16, 32, 32)

_FIRST_15 = (
    "or take the 15 frames that are there with --allow-partial or the first ones with --frames :15"
)


def _tiff(path: Path, frames: NDArray[Any], **options: Any) -> Path:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, frames, **{"photometric": "minisblack", **options})
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _no_frames(path: Path) -> Path:
    zarr.open(str(path), mode="w", shape=(0, 32, 32), dtype=np.uint16)
    return path


def _cut_short(path: Path) -> Path:
    path = _tiff(path, FRAMES_ADU)
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def _cut_short_raw(path: Path) -> Path:
    told = "Frames: 16\nHeight: 32\nWidth: 32\nData Type: uint16\n"
    path.with_suffix(".yaml").write_text(told)
    path = path.with_suffix(".raw")
    path.write_bytes(FRAMES_ADU.tobytes()[:-10])
    return path


def _damaged(path: Path) -> Path:
    """Zeros in frame 9, which nobody sees who does not decode it."""
    path = _tiff(path, FRAMES_ADU, compression="zlib")
    damage(path, 9)
    return path


def _not_a_number(path: Path, frames: int, where: int) -> Path:
    """In a frame of a long film that is not among those looked at first."""
    values = spots_adu(frames, 32, 32) + np.float32(0.5)
    values[where, 3, 4] = np.nan
    return _tiff(path, values)


def _text(path: Path) -> Path:
    path.write_text("id,frame,x [nm],y [nm]\n")
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


WRONG: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "empty": (_empty, "is empty (0 bytes)", "copy or export it again"),
    "no frames": (_no_frames, "holds no frames", "check that it was saved to the end"),
    "RGB": (
        lambda path: _tiff(path, np.zeros((4, 32, 32, 3), np.uint8), photometric="rgb"),
        "is a colour (RGB) image",
        "export the raw film of the camera",
    ),
    "complex": (
        lambda path: _tiff(path, FRAMES_ADU.astype(np.complex64)),
        "holds complex64 values",
        "save it as 16-bit unsigned",
    ),
    "NaN": (
        lambda path: _not_a_number(path, 4, 0),
        "holds float32 values, some of them NaN or infinite (frame 0)",
        "save it as 16-bit unsigned (ImageJ: Image > Type > 16-bit)",
    ),
    "NaN later on": (
        lambda path: _not_a_number(path, 100, 1),
        "holds float32 values, some of them NaN or infinite (frame 1)",
        "save it as 16-bit unsigned (ImageJ: Image > Type > 16-bit)",
    ),
    "cut short": (
        _cut_short,
        "lacks frame 15 of 16 (it is cut short)",
        f"copy or export it again, {_FIRST_15}",
    ),
    "cut short, raw": (
        _cut_short_raw,
        "lacks frame 15 of 16 (it is cut short: it is 32758 bytes, and film.yaml describes 32768)",
        f"copy or export it again, {_FIRST_15}",
    ),
    "damaged": (_damaged, "is cut short or damaged in frame 9", "copy or export it again"),
    "not there": (lambda path: path, "does not exist", "check the name of the file"),
    "unknown format": (
        _text,
        "is not a TIFF file, nor ND2, CZI, LIF, Imaris, HDF5, SIF, DCIMG, SPE, FITS, Zarr, NDTiff "
        "or raw with a YAML",
        "save it as TIFF, as ImageJ/Fiji can",
    ),
    "folder": (_folder, "is a folder without a film", "name the film's file"),
    "small": (
        lambda path: _tiff(path, FRAMES_ADU[:, :8]),
        "has frames of 8 x 32 pixels; the network needs at least 16 along an edge",
        "export or choose a larger region",
    ),
}


@pytest.mark.parametrize(("make", "wrong", "remedy"), WRONG.values(), ids=WRONG)
def test_a_bad_film_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], Path],
    wrong: str,
    remedy: str,
) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    film = make(tmp_path / "film")
    before = names(tmp_path)
    result = submit(film, "--quiet", "--chunk-frames", "5")
    assert result.exit_code == 3
    expected = f"recon-client: {film} {wrong}; expected a film of grey frames: {remedy}"
    assert one_line(result) == expected
    assert names(tmp_path) == before


def test_too_few_frames_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    one = _tiff(tmp_path / "one", FRAMES_ADU[0])
    said = one_line(submit(one, "--quiet"))
    assert "one.tif holds one frame; a film needs at least 2; expected many frames of" in said
    film = _tiff(tmp_path / "film", FRAMES_ADU)
    said = one_line(submit(film, "--quiet", "--frames", "3:4"))
    assert "has 16 frames, of which 1 is to be taken; expected at least 2: choose more" in said


def test_words_of_libraries_stay_off_the_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """tifffile would remark on each tag of a damaged file."""
    film = _tiff(tmp_path / "film", FRAMES_ADU)
    held = film.read_bytes()
    (tmp_path / "cut.tif").write_bytes(held[:200])
    for command in (
        ("resolution", tmp_path / "cut.tif"),
        ("batch", tmp_path, "-o", tmp_path / "out", "--dry-run"),
    ):
        said = invoke(*command).stderr
        assert "Tiff" not in said
        assert not [record for record in caplog.records if record.name == "tifffile"]


def test_what_shrinks_while_it_is_read_leaves_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that goes, or a copy that another program cuts: after some chunks were summed."""
    film = _tiff(tmp_path / "film", FRAMES_ADU)

    class Shrinking(ComputingTransport):
        def sum_chunk(self, request: Request) -> ChunkAnswer:
            os.truncate(film, 12_000)
            return super().sum_chunk(request)

    take_for_local(monkeypatch, Shrinking())
    result = submit(film, "--quiet", "--chunk-frames", "2", "--in-flight", "1")
    assert result.exit_code == 3
    assert "film.tif is cut short or damaged in frames " in one_line(result)
    assert names(tmp_path) == ["film.sr.checkpoint", "film.tif"]


@pytest.mark.parametrize("command", ["submit", "batch", "resolution"])
def test_no_line_of_a_library_reaches_the_terminal(command: str, tmp_path: Path) -> None:
    """In another process, where no test listens to what is logged."""
    folder = tmp_path / "night"
    folder.mkdir()
    film = _tiff(folder / "film.tif", np.tile(FRAMES_ADU, (3, 1, 1)), compression="zlib")
    held = film.read_bytes()
    film.write_bytes(held[: len(held) // 2])
    arguments: dict[str, list[str | Path]] = {
        "submit": [film, "--dry-run"],
        "batch": [folder, "-o", tmp_path / "out", "--dry-run"],
        "resolution": [film],
    }
    code = "from smlm_pipeline.cli.app import app; app()"
    asked = [sys.executable, "-c", code, command, *map(str, arguments[command])]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (2, 3)
    lines = done.stderr.splitlines()
    assert lines
    assert [line for line in lines if not line.startswith("recon-client: ")] == []


def test_an_image_with_odd_metadata_is_refused_in_words(tmp_path: Path) -> None:
    odd = "ImageJ=1.11a\nimages=9\nframes=9\nslices=x\n"
    image = tmp_path / "odd.tif"
    tifffile.imwrite(image, FRAMES_ADU, description=odd, metadata=None)
    assert "odd.tif cannot be read as an image; expected" in one_line(invoke("resolution", image))
