"""Numbers of other types than a camera's: taken as counts, rescaled or refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.tiff_films import COUNT, make_film, refuse
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.tif"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float(path: Path, dtype: str) -> None:
    film = make_film() // 256
    tifffile.imwrite(path, film.astype(dtype))
    with open_film(path) as reader:
        assert reader.notes == (f"film.tif holds {dtype} values; taken as whole counts",)
        np.testing.assert_array_equal(reader.read(0, COUNT), film)


def test_fractions_are_rescaled_and_said_so(path: Path) -> None:
    film = (make_film() / 7 - 1000).astype(np.float32)
    tifffile.imwrite(path, film)
    with open_film(path) as reader:
        (note,) = reader.notes
        counts = reader.read(0, COUNT)
    found = re.search(r"rescaled to 16 bits: count = \(value - (\S+)\) \* (\S+)$", note)
    assert found
    zero, factor = float(found[1]), float(found[2])
    np.testing.assert_allclose(counts / factor + zero, film, atol=0.6 / factor, rtol=1e-5)
    assert counts.min() > 1000


def test_damage_in_later_frames_of_numbers(path: Path) -> None:
    """A sample is looked at when the film is opened; what it misses is found when it is read."""
    film = np.zeros((200, 16, 16), np.float32)
    film += np.random.default_rng(0).uniform(0, 1, film.shape).astype(np.float32)
    film[1, 3, 4] = np.inf
    tifffile.imwrite(path, film)
    with open_film(path) as reader:
        reader.read(0, 1)
        with pytest.raises(FilmError, match=r"NaN or infinite \(frame 1\)"):
            reader.read(0, 4)


def test_nan_in_the_first_frame_is_named(path: Path) -> None:
    film = make_film().astype(np.float32)
    film[0, 3, 4] = np.nan
    tifffile.imwrite(path, film)
    refuse(path, r"holds float32 values, some of them NaN or infinite \(frame 0\);")


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "int64"])
def test_other_whole_numbers_are_counts_if_they_fit(path: Path, dtype: str) -> None:
    film = make_film() // 2
    tifffile.imwrite(path, film.astype(dtype), photometric="minisblack")
    with open_film(path) as reader:
        np.testing.assert_array_equal(reader.read(0, COUNT), film)
    tifffile.imwrite(path, film.astype(dtype) - 1000, photometric="minisblack")
    with open_film(path) as reader:
        assert "rescaled" in reader.notes[0]


@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_other_types(path: Path, dtype: str) -> None:
    tifffile.imwrite(path, make_film().astype(dtype))
    refuse(path, f"holds {dtype} values;")
