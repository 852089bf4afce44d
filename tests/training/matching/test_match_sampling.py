"""Which part of a film ``recon-train match`` looks at, and which files it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.format_films import write_nd2_film, write_zarr
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection
from smlm_training.matching.sampling import Sample, sample_film


def _write(path: Path, frames_adu: NDArray[Any], **options: Any) -> Path:
    tifffile.imwrite(path, frames_adu, photometric="minisblack", **options)
    return path


def _sample(path: Path, selection: Selection | None = None) -> Sample:
    with open_film(path, selection) as film:
        return sample_film(film)


def test_sample_is_spread_over_the_film_and_taken_where_it_blinks(tmp_path: Path) -> None:
    frames = np.empty((1001, 20, 300), np.uint16)
    frames[:] = (np.arange(1001) % 7)[:, None, None]
    frames[:, 0, 0] = np.arange(1001)
    frames[::2, :, 290:] = 900
    mapped = _sample(_write(tmp_path / "mapped.tif", frames))
    assert mapped.frames_adu.shape == (500, 20, 256)
    assert mapped.film_shape == (1001, 20, 300)
    assert (mapped.top_px, mapped.left_px) == (0, 44)
    np.testing.assert_array_equal(mapped.frames_adu[-1], frames[-1, :, 44:])
    paged = _sample(_write(tmp_path / "paged.tif", frames, compression="zlib"))
    np.testing.assert_array_equal(paged.frames_adu, mapped.frames_adu)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((8, 32, 32), np.uint16), "has 8 frames of 32 x 32 pixels; expected at least 16"),
        (np.zeros((30, 32, 12), np.uint8), "has frames of 32 x 12 pixels; the network needs at"),
        (np.zeros((30, 32, 32), np.complex64), "holds complex64 values; expected a film of grey"),
        (np.zeros((3, 30, 32, 32), np.uint8), "has axes .* not T,Y,X; expected a film of grey"),
        (np.full((32, 32), 100, np.uint16), "holds one frame; a film needs at least 2"),
    ],
)
def test_files_that_are_no_film_are_refused(
    tmp_path: Path, frames: NDArray[Any], message: str
) -> None:
    with pytest.raises(FilmError, match=message):
        _sample(_write(tmp_path / "film.tif", frames))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"none\.tif does not exist"):
        _sample(tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("no film")
    with pytest.raises(FilmError, match=r"text\.tif is not a TIFF file"):
        _sample(tmp_path / "text.tif")
    whole = _write(tmp_path / "whole.tif", np.ones((20, 32, 32), np.uint16)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FilmError, match=r"cut\.tif lacks frames .*it is cut short"):
        _sample(tmp_path / "cut.tif")


def test_other_formats_give_the_same_sample(tmp_path: Path) -> None:

    random = np.random.default_rng(5)
    frames = random.integers(1, 1 << 16, (40, 20, 24), dtype=np.uint16)
    expected = _sample(_write(tmp_path / "film.tif", frames)).frames_adu
    np.testing.assert_array_equal(expected, frames)
    for write in (write_nd2_film, write_zarr):
        np.testing.assert_array_equal(
            _sample(write(tmp_path / write.__name__, frames)).frames_adu, expected
        )


def test_sample_of_a_part_counts_as_the_file_does(tmp_path: Path) -> None:
    frames = np.random.default_rng(2).integers(0, 99, (40, 40, 50), dtype=np.uint16)
    part = Selection(frames=(5, 30), roi_px=(10, 7, 32, 20))
    sample = _sample(_write(tmp_path / "film.tif", frames), part)
    assert (sample.top_px, sample.left_px, sample.film_shape) == (7, 10, (25, 20, 32))
    np.testing.assert_array_equal(sample.frames_adu, frames[5:30, 7:27, 10:42])
