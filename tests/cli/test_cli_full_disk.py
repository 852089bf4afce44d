"""A full disk, through the command: one line that says so, exit code 7, nothing half-written."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Literal

import pytest
import tifffile

from fakes.command_line import names, one_line, submit, write_film
from fakes.films import spots_adu
from fakes.processes import CLIENT

FULL = Path("/dev/full")
REMEDY = "cannot be written: the disk is full; free space or choose another disk"

on_a_full_device = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


def _fill_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Room for so many files that are written whole."""
    synchronise = os.fsync
    written: list[int] = []

    def full(descriptor: int) -> None:
        if len(written) == files:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(descriptor)
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", full)


def test_no_room_for_the_image(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill_after(monkeypatch, files=0)
    result = submit(film, "--quiet")
    assert result.exit_code == 7
    image = film.with_name("film.sr.ome.tif")
    checkpoint = film.with_name("film.sr.checkpoint")
    assert result.stderr.splitlines()[-2:] == [
        f"recon-client: the run has no checkpoint for --resume: {checkpoint} {REMEDY}",
        f"recon-client: {image} {REMEDY}",
    ]
    assert names(film.parent) == ["film.tif"]


def test_no_room_for_the_picture(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image, an hour's work, is kept."""
    _fill_after(monkeypatch, files=1)
    result = submit(film, "--quiet")
    assert result.exit_code == 7
    complaint = result.stderr.splitlines()[-1]
    assert complaint == f"recon-client: {film.with_name('film.sr.png')} {REMEDY}"
    assert names(film.parent) == ["film.sr.ome.tif", "film.tif"]
    assert tifffile.imread(film.with_name("film.sr.ome.tif")).shape == (256, 256)


def test_an_older_image_is_kept_where_there_is_no_room(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submit(film, "--quiet").exit_code == 0
    older = {path: path.read_bytes() for path in film.parent.iterdir()}
    _fill_after(monkeypatch, files=0)
    assert submit(film, "--quiet", "--overwrite", "--zoom", "4").exit_code == 7
    assert {path: path.read_bytes() for path in film.parent.iterdir()} == older


def test_no_room_for_a_sum_beyond_memory(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    tifffile.imwrite(film, spots_adu(3, 96, 200), photometric="minisblack")
    result = submit(film, "--quiet", "--memory", "310MiB", "--zoom", "16", "--tile-px", "64")
    assert result.exit_code == 7
    message = one_line(result)
    assert "the sum of the image does not fit into --memory" in message
    assert "failed: the disk is full; free space, raise --memory or choose" in message
    assert names(film.parent) == ["film.tif"]


# --- what is printed into a file ------------------------------------------------------------


def _ended(film: Path, *options: str, full: Literal["stdout", "stderr"]) -> tuple[int, str]:
    """Exit code and complaint of a command whose ``stdout`` or ``stderr`` has no room."""
    command = [*CLIENT, "submit", str(film), "--engine", "local", "--refine", "off", *options]
    with FULL.open("wb") as device:
        done = subprocess.run(
            command,
            stdout=device if full == "stdout" else subprocess.PIPE,
            stderr=device if full == "stderr" else subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    return done.returncode, done.stderr or ""


@on_a_full_device
def test_no_room_for_the_report(film: Path) -> None:
    """What it tells of is written and whole."""
    told = "recon-client: what it prints cannot be written: the disk is full; free space\n"
    given = ("--pixel-size-nm", "100")
    assert _ended(film, "--json", *given, full="stdout") == (7, told)
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]


@on_a_full_device
def test_no_room_for_the_complaint(film: Path) -> None:
    """The exit code still tells what it was about."""
    film.write_bytes(b"")
    assert _ended(film, full="stderr") == (3, "")
    assert names(film.parent) == ["film.tif"]
