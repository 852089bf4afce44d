"""Every bad input of the design gets its message and its exit code, with a server at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from smlm_pipeline.cli.app import app
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton

_GREY = np.full((4, 32, 32), 100, np.uint16)


def _make(path: Path, kind: str) -> None:
    arrays = {
        "one frame": _GREY[0],
        "rgb": np.zeros((4, 32, 32, 3), np.uint8),
        "nan": np.full((4, 32, 32), np.nan, np.float32),
        "complex": _GREY.astype(np.complex64),
        "small": np.full((4, 8, 32), 100, np.uint16),
    }
    if kind == "missing":
        return
    if kind == "empty":
        path.touch()
    elif kind == "no tiff":
        path.write_text("id,frame,x [nm],y [nm]\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        tifffile.imwrite(path, _GREY, photometric="minisblack")
        path.write_bytes(path.read_bytes()[:-3000])
    else:
        photometric = "rgb" if kind == "rgb" else "minisblack"
        tifffile.imwrite(path, arrays[kind], photometric=photometric)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("empty", "is empty (0 bytes)"),
        ("no tiff", "is not a TIFF file"),
        ("folder", "is a folder without a film"),
        ("one frame", "at least 2"),
        ("rgb", "is a colour (RGB) image"),
        ("nan", "NaN or infinite"),
        ("complex", "holds complex64 values"),
        ("small", "at least 16"),
        ("truncated", "cut short"),
    ],
)
def test_a_bad_film_is_refused_with_exit_code_3(
    kind: str, words: str, tmp_path: Path, triton: EmbeddedServer
) -> None:
    film = tmp_path / "film.tif"
    _make(film, kind)
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(app, ["submit", str(film), "--server", triton.address])
    assert result.exit_code == 3
    assert words in result.stderr
    assert "film.tif" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_no_server_is_exit_code_4(film_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["submit", str(film_file), "-o", str(tmp_path / "i.tif"), "--server", "127.0.0.1:9"],
    )
    assert result.exit_code == 4
    assert "no Triton server answers at 127.0.0.1:9" in result.stderr


def test_an_output_that_cannot_be_written_is_exit_code_7(
    film_file: Path, tmp_path: Path, triton: EmbeddedServer
) -> None:
    result = CliRunner().invoke(
        app,
        [
            "submit",
            str(film_file),
            "-o",
            str(tmp_path / "no" / "i.tif"),
            "--server",
            triton.address,
        ],
    )
    assert result.exit_code == 7
    assert "no such folder" in result.stderr
