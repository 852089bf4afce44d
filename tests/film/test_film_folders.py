"""The films in a folder: which files and folders are one film each, and which are none."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from fakes.films import noise_adu, spots_adu
from fakes.format_films import make_film, write_ndtiff_film, write_ome_zarr, write_raw
from fakes.micro_manager_films import write_mmstack
from smlm_pipeline.film.formats.film_folders import PassedOver, films_in, name_of_pattern
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image

FILM_ADU = noise_adu(4, 32, 32)


def found(folder: Path) -> list[str]:
    """Films by their names, with the pattern of their files; what is passed over has a minus."""
    return [
        f"-{each.path.name}"
        if isinstance(each, PassedOver)
        else each.path.relative_to(folder.parent).as_posix() + (each.pattern or "")
        for each in films_in(folder)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "night"
    made.mkdir()
    return made


def _write(path: Path, frames: int = 4) -> Path:
    tifffile.imwrite(path, FILM_ADU[:frames], photometric="minisblack")
    return path


def _series(folder: Path, stem: str, count: int = 3) -> None:
    for number in range(count):
        _write(folder / f"{stem}_{number:03}.tif", 1)


def test_files_of_several_formats(folder: Path) -> None:
    film = make_film()
    for name in ("b10.tif", "b2.TIF", ".hidden.tif", "notes.txt", "positions.csv", "photo.png"):
        _write(folder / name)
    write_raw(folder / "raw.raw", film)
    (folder / "damaged.nd2").write_bytes(b"no film")
    assert found(folder) == ["night/b2.TIF", "night/b10.tif", "night/damaged.nd2", "night/raw.raw"]


def test_folder_of_single_frames(folder: Path) -> None:
    _series(folder, "frame")
    assert found(folder) == ["night"]


def test_two_series_and_a_film(folder: Path) -> None:
    _series(folder, "cellA")
    _series(folder, "cellB")
    _write(folder / "film.tif")
    _write(folder / "widefield.tif", 1)
    assert found(folder) == [
        "nightcellA_*.tif",
        "nightcellB_*.tif",
        "-widefield.tif",
        "night/film.tif",
    ]


def test_single_frames_by_micro_manager(folder: Path) -> None:
    for number in range(3):
        for channel in ("DAPI", "Cy5"):
            _write(folder / f"img_{number:09}_{channel}_000.tif", 1)
    assert found(folder) == ["night"]


@pytest.mark.parametrize("kind", ["ndtiff", "zarr"])
def test_folders_that_are_films(folder: Path, kind: str) -> None:
    writer = write_ndtiff_film if kind == "ndtiff" else write_ome_zarr
    path = writer(folder / "film", make_film())
    assert [each.path for each in films_in(path)] == [path]


def test_film_in_several_files_is_found_once(folder: Path) -> None:
    summary = {"Frames": 4, "Channels": 1, "Slices": 1, "Positions": 1, "Prefix": "acq"}
    for number, name in enumerate(("acq_MMStack_Pos0.ome.tif", "acq_MMStack_Pos0_1.ome.tif")):
        planes = {(0, 0, frame, 0): FILM_ADU[frame] for frame in (2 * number, 2 * number + 1)}
        write_mmstack(folder / name, planes, summary=summary)
    for name in ("film.tif", "film_X2.tif", "film_X3.tif"):
        _write(folder / name)
    names = found(folder)
    assert names == ["night/acq_MMStack_Pos0.ome.tif", "night/film.tif"]


def test_results_are_no_films(folder: Path) -> None:
    image = np.ones((64, 64), np.float32)
    _write(folder / "film.tif")
    for name in ("film.sr.ome.tif", "film.sr.sum.ome.tif", "fine.ome.tif", "fine_2.ome.tif"):
        write_image(folder / name, image, ImageFacts(10))
    for name in ("film.sr.png", "film.sr.checkpoint", "film.sr.hdf5", "film.sr.tif"):
        (folder / name).write_bytes(b"x")
    assert found(folder) == ["night/film.tif"]


def test_tables_of_molecules_are_no_films(folder: Path) -> None:
    for name, data in (("picasso.hdf5", "locs"), ("decode.h5", "data/xyz"), ("film.h5", "frames")):
        with h5py.File(folder / name, "w") as file:
            file[data] = spots_adu(4, 32, 32)
    assert found(folder) == ["-decode.h5", "night/film.h5", "-picasso.hdf5"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("cellA_*.tif", "cellA"),
        ("a_?.tif|a_??.tif", "a"),
        ("x[[]1]_[0-9][0-9]t.TIFF", "x_1_t"),
        ("*.tif", "film"),
    ],
)
def test_name_of_a_pattern(pattern: str, name: str) -> None:
    assert name_of_pattern(pattern) == name
