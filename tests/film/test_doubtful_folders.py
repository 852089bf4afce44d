"""What the names of a folder's files leave open is a warning; what they say is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.format_films import COUNT, Film, make_film, read_all, write_folder
from fakes.micro_manager_films import write_mmstack
from fakes.tiff_films import refuse
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection


def write(folder: Path, names: list[str]) -> Film:
    film = make_film(len(names))
    for name, frame in zip(names, film, strict=True):
        tifffile.imwrite(folder / name, frame)
    return film


@pytest.mark.parametrize(
    "names",
    [
        [f"img_{i * 0.05:.2f}s.tif" for i in range(30)],
        [f"{i * 20.5:.1f} ms.tif" for i in range(30)],
        [f"a_2026-11-26-14-30-{i * 33 // 1000:02}-{i * 33 % 1000:03}.tif" for i in range(40)],
        [f"20261126_1430{i * 33 // 1000:02}.{i * 33 % 1000:03}_cam1.tif" for i in range(40)],
    ],
    ids=lambda names: names[1],
)
def test_times_with_decimals(tmp_path: Path, names: list[str]) -> None:
    film = write(tmp_path, names)
    np.testing.assert_array_equal(read_all(tmp_path), film)
    (tmp_path / names[7]).unlink()
    refuse(tmp_path, f"lacks frame 7 of {len(film)}")


@pytest.mark.parametrize("word", ["tile_", "cell_", "ROI_", "scan_z", "Mosaic "])
def test_words_that_seldom_count_frames(tmp_path: Path, word: str) -> None:
    write(tmp_path, [f"{word}{i:03}.tif" for i in range(COUNT)])
    with open_film(tmp_path) as reader:
        (warning,) = reader.warnings
    assert "12 files are taken as frames of one film, which they are not if" in warning


def test_series_that_begins_late(tmp_path: Path) -> None:
    write(tmp_path, [f"img_{i:04}.tif" for i in range(3, 15)])
    with open_film(tmp_path) as reader:
        (warning,) = reader.warnings
    assert "begin at 3: whether files are missing before it cannot be noticed" in warning


@pytest.mark.parametrize("number", [0, 5])
def test_colour_among_the_frames(tmp_path: Path, number: int) -> None:
    write(tmp_path, [f"img_{i}.tif" for i in range(COUNT)])
    colours = np.zeros((20, 24, 3), np.uint16)
    tifffile.imwrite(tmp_path / f"img_{number}.tif", colours, photometric="rgb")
    for allow_partial in (False, True):
        with pytest.raises(FilmError, match=rf"img_{number}.tif is (\(20, 24, 3\)|no grey image)"):
            open_film(tmp_path, allow_partial=allow_partial)


@pytest.mark.parametrize("names", [("a", "b"), ("run1", "run2")])
def test_films_in_folders_are_no_positions(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, count in zip(names, (12, 8), strict=True):
        write_folder(tmp_path / name, make_film(count))
    refuse(tmp_path, rf"holds films in folders of its own \({names[0]}, {names[1]}\)")


def test_two_acquisitions_of_one_name(tmp_path: Path) -> None:
    film = make_film()
    for run in (1, 2):
        planes = {(0, 0, frame, 0): plane for frame, plane in enumerate(film)}
        summary = {"Prefix": "run", "Frames": COUNT, "Channels": 1, "Slices": 1, "Positions": 1}
        write_mmstack(tmp_path / f"run{run}_MMStack.ome.tif", planes, summary=summary)
    refuse(tmp_path, "holds run1_MMStack.ome.tif and run2_MMStack.ome.tif with the same frames")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="run2*")), film)
