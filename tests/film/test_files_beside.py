"""A film that is named is judged by itself, whatever the files beside it are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.films import damage
from fakes.format_films import make_film, read_all
from fakes.tiff_films import refuse
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection


@pytest.mark.parametrize("names", [("a_1.tif", "a_2.tif"), ("f_0000.tif", "f_0001.tif")])
def test_single_image_beside_a_film(tmp_path: Path, names: tuple[str, str]) -> None:
    film = make_film()
    tifffile.imwrite(tmp_path / names[0], film[:11], photometric="minisblack")
    tifffile.imwrite(tmp_path / names[1], film[11])
    np.testing.assert_array_equal(read_all(tmp_path / names[0]), film[:11])
    np.testing.assert_array_equal(read_all(tmp_path), film)
    refuse(tmp_path / names[1], "holds one frame")


def test_damaged_film_beside_a_good_one(tmp_path: Path) -> None:
    film = make_film()
    for name in ("a_1.tif", "a_2.tif"):
        tifffile.imwrite(tmp_path / name, film, photometric="minisblack", compression="zlib")
    damage(tmp_path / "a_2.tif", 0, 1, 2, 3, 4, 5)
    np.testing.assert_array_equal(read_all(tmp_path / "a_1.tif"), film)
    with pytest.raises(FilmError, match=r"a_2.tif is cut short or damaged"):
        open_film(tmp_path)
    for content in (b"II*\0", b""):
        (tmp_path / "a_2.tif").write_bytes(content)
        np.testing.assert_array_equal(read_all(tmp_path / "a_1.tif"), film)
        with pytest.raises(FilmError, match=r"a_2.tif is cut short or damaged"):
            open_film(tmp_path)
    (tmp_path / "a_2.tif").unlink()
    (tmp_path / "a_2.tif").symlink_to(tmp_path / "nowhere.tif")
    np.testing.assert_array_equal(read_all(tmp_path / "a_1.tif"), film)


@pytest.mark.parametrize("name", ["im_{:03}.tif", "cell{}_x.tif", "img_{:09}_Default_000.tif"])
def test_one_of_many_single_frames(tmp_path: Path, name: str) -> None:
    film = make_film()
    for number, frame in enumerate(film):
        tifffile.imwrite(tmp_path / name.format(number), frame)
    message = refuse(
        tmp_path / name.format(3), r"holds one frame, and files named alike are beside it \(11\)"
    )
    assert f"name the folder {tmp_path}" in message


def test_pattern_of_files_that_may_continue_a_film(tmp_path: Path) -> None:
    film = make_film()
    for number, part in enumerate((film[:6], film[6:])):
        tifffile.imwrite(tmp_path / f"f_{number}.tif", part, photometric="minisblack")
    tifffile.imwrite(tmp_path / "f_0_bleach.tif", film, photometric="minisblack")
    with open_film(tmp_path / "f_0.tif") as reader:
        (note,) = (*reader.notes, *reader.warnings)
    pattern = note.split("'")[1]
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern=pattern)), film)
