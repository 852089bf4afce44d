"""Which part of a film ``recon-train match`` looks at, and which files it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_training.matching.sampling import sample_film


def _write(path: Path, frames_adu: NDArray[Any], **options: Any) -> Path:
    tifffile.imwrite(path, frames_adu, photometric="minisblack", **options)
    return path


def test_sample_is_spread_over_the_film_and_taken_where_it_blinks(tmp_path: Path) -> None:
    frames = np.empty((1001, 20, 300), np.uint16)
    frames[:] = (np.arange(1001) % 7)[:, None, None]
    frames[:, 0, 0] = np.arange(1001)
    frames[::2, :, 290:] = 900
    mapped = sample_film(_write(tmp_path / "mapped.tif", frames))
    assert mapped.frames_adu.shape == (500, 20, 256)
    assert mapped.film_shape == (1001, 20, 300)
    assert (mapped.top_px, mapped.left_px) == (0, 44)
    np.testing.assert_array_equal(mapped.frames_adu[-1], frames[-1, :, 44:])
    paged = sample_film(_write(tmp_path / "paged.tif", frames, compression="zlib"))
    np.testing.assert_array_equal(paged.frames_adu, mapped.frames_adu)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((8, 32, 32), np.uint16), "has 8 frames of 32 x 32 pixels; expected at least 16"),
        (np.zeros((30, 32, 12), np.uint8), "has 30 frames of 32 x 12 pixels; expected at least"),
        (np.zeros((30, 32, 32), np.float32), "dtype float32; expected frames, rows and columns"),
        (np.zeros((32, 32), np.uint16), r"has shape \(32, 32\) and dtype uint16"),
    ],
)
def test_files_that_are_no_film_are_refused(
    tmp_path: Path, frames: NDArray[Any], message: str
) -> None:
    with pytest.raises(FilmError, match=message):
        sample_film(_write(tmp_path / "film.tif", frames))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"cannot read .*none\.tif"):
        sample_film(tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("no film")
    with pytest.raises(FilmError, match=r"cannot read .*text\.tif"):
        sample_film(tmp_path / "text.tif")
    whole = _write(tmp_path / "whole.tif", np.ones((20, 32, 32), np.uint16)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FilmError, match=r"cut\.tif"):
        sample_film(tmp_path / "cut.tif")
