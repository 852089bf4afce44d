"""Films that are a folder of files: a frame each, Micro-Manager's, NDTiff."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.format_films import (
    HEIGHT_PX,
    WIDTH_PX,
    make_film,
    read_all,
    write_folder,
    write_ndtiff_film,
)
from fakes.ndtiff_films import write_ndtiff
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image


@pytest.mark.parametrize(
    "name", ["img_{t:09d}_Default_000.tif", "img_channel000_position000_time{t:09d}_z000.tif"]
)
def test_files_of_micro_manager(tmp_path: Path, name: str) -> None:
    film = make_film()
    for index, frame in enumerate(film):
        tifffile.imwrite(tmp_path / name.format(t=index), frame)
    (tmp_path / "metadata.txt").write_text("{}")
    np.testing.assert_array_equal(read_all(tmp_path), film)


def test_channels_of_micro_manager_are_chosen(tmp_path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    for index, channels in enumerate(film):
        for channel, frame in zip(("Cy3", "Cy5"), channels, strict=True):
            tifffile.imwrite(tmp_path / f"img_{index:09d}_{channel}_000.tif", frame)
    with pytest.raises(FilmError, match=r"several channels .*choose one with --channel 0 to 1"):
        open_film(tmp_path)
    np.testing.assert_array_equal(read_all(tmp_path, Selection(channel=1)), film[:, 1])
    (tmp_path / "img_000000003_Cy5_000.tif").unlink()
    np.testing.assert_array_equal(read_all(tmp_path, Selection(channel=0)), film[:, 0])
    with pytest.raises(FilmError, match=r"lacks frame 3 of 6 \(a file after img_.*3_Cy3_000.tif"):
        open_film(tmp_path, Selection(channel=1))
    with open_film(tmp_path, Selection(channel=1), allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(film[:, 1], 3, axis=0))


def test_film_in_a_folder_of_its_own(tmp_path: Path) -> None:
    film = make_film()
    tifffile.imwrite(tmp_path / "film_MMStack_Pos0.ome.tif", film, metadata={"axes": "TYX"})
    (tmp_path / "film_MMStack_Pos0_metadata.txt").write_text("{}")
    np.testing.assert_array_equal(read_all(tmp_path), film)


def test_several_films_in_a_folder(tmp_path: Path) -> None:
    for name in "abc":
        tifffile.imwrite(tmp_path / f"{name}.tif", make_film(), photometric="minisblack")
    told = r"holds 3 films \(a.tif, b.tif, c.tif, ...\); expected .*: name the file of one"
    with pytest.raises(FilmError, match=told):
        open_film(tmp_path)


def test_positions_in_a_folder(tmp_path: Path) -> None:
    for position in range(2):
        path = tmp_path / f"film_MMStack_Pos{position}.ome.tif"
        tifffile.imwrite(path, make_film(), metadata={"axes": "TYX"})
    with pytest.raises(FilmError, match=r"holds 2 positions; .* name one of film_MMStack_Pos0"):
        open_film(tmp_path)


def test_a_file_of_another_size_in_the_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "film", make_film())
    tifffile.imwrite(folder / "frame7.tif", make_film()[0, :16])
    with pytest.raises(FilmError, match=r"frame7.tif is \(16, 24\) uint16, the first file"):
        open_film(folder)


def test_colour_in_a_folder(tmp_path: Path) -> None:
    for index in range(3):
        tifffile.imwrite(tmp_path / f"{index}.tif", np.zeros((20, 24, 3), np.uint8))
    with pytest.raises(FilmError, match="is no grey image"):
        open_film(tmp_path)


def test_ndtiff_through_its_index_file(tmp_path: Path) -> None:
    folder = write_ndtiff_film(tmp_path / "film", make_film())
    np.testing.assert_array_equal(read_all(folder / "NDTiff.index"), make_film())


def test_channels_of_ndtiff(tmp_path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    planes = {
        json.dumps({"time": t, "channel": name}): film[t, c]
        for t in range(6)
        for c, name in enumerate(("Cy3", "Cy5"))
    }
    write_ndtiff(tmp_path / "film", planes)
    with pytest.raises(FilmError, match=r"--channel 0 to 1 \(0 is Cy3, 1 is Cy5\)"):
        open_film(tmp_path / "film")
    with open_film(tmp_path / "film", Selection(channel=1)) as reader:
        assert reader.notes == ("channel 1 of film is Cy5",)
        np.testing.assert_array_equal(reader.read_all(), film[:, 1])


def test_ndtiff_through_one_of_its_files(tmp_path: Path) -> None:
    folder = write_ndtiff_film(tmp_path / "film", make_film())
    image = np.zeros((60, 60), np.float32)
    result = folder / "film_NDTiffStack.sr.ome.tif"
    write_image(result, image, ImageFacts(20))
    files = sorted(folder.glob("*_NDTiffStack*.tif"))
    assert len(files) > 2
    for path in (folder, *files):
        if path != result:
            np.testing.assert_array_equal(read_all(path), make_film())


def test_ndtiff_that_lacks_something(tmp_path: Path) -> None:
    folder = write_ndtiff_film(tmp_path / "film", make_film())
    (folder / "film_NDTiffStack_2.tif").unlink()
    with pytest.raises(
        FilmError, match=r"lacks frames 10 to 11 of 12 \(film_NDTiffStack_2.tif is not"
    ):
        open_film(folder)
    index = folder / "NDTiff.index"
    entries = index.read_bytes()
    second = entries.index(b'{"time": 1}') - 4
    index.write_bytes(entries[:second] + entries[entries.index(b'{"time": 2}') - 4 :])
    with pytest.raises(FilmError, match=r"lacks frames 1, 10 to 11 of 12"):
        open_film(folder)
    index.write_bytes(b"")
    with pytest.raises(FilmError, match="names no planes"):
        open_film(folder)


def test_axis_of_ndtiff_that_is_not_known(tmp_path: Path) -> None:
    planes = {json.dumps({"time": t, "row": 0}): frame for t, frame in enumerate(make_film())}
    write_ndtiff(tmp_path / "film", planes)
    with pytest.raises(FilmError, match="has an axis 'row'"):
        open_film(tmp_path / "film")


@pytest.mark.parametrize("rows_per_strip", [None, 3])
@pytest.mark.parametrize("written", [0, 0.3, 0.6, 0.83])
@pytest.mark.parametrize("number", [0, 5, 11])
def test_file_that_was_partly_written(
    tmp_path: Path, number: int, written: float, rows_per_strip: int | None
) -> None:
    film = make_film()
    film[:, -2:] = 0  # a black border is no sign of damage
    for index, frame in enumerate(film):
        tifffile.imwrite(tmp_path / f"img_{index}.tif", frame, rowsperstrip=rows_per_strip)
    np.testing.assert_array_equal(read_all(tmp_path), film)
    path = tmp_path / f"img_{number}.tif"
    content = path.read_bytes()
    kept = int(written * len(content))
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    os.utime(path, (1, 1))
    with pytest.raises(FilmError, match=rf"lacks frame {number} of 12"):
        open_film(tmp_path)
    with open_film(tmp_path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(film, number, axis=0))


def test_black_frames_of_a_folder(tmp_path: Path) -> None:
    film = make_film()
    film[[0, 1, 5]] = 0  # the shutter was closed
    folder = write_folder(tmp_path / "film", film)
    np.testing.assert_array_equal(read_all(folder), film)


def test_file_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    for index, frame in enumerate(make_film()):
        tifffile.imwrite(tmp_path / f"img_{index}.tif", frame, compression="zlib")
    path = tmp_path / "img_5.tif"
    path.write_bytes(path.read_bytes()[:300] + b"x" * (path.stat().st_size - 300))
    with open_film(tmp_path) as reader, pytest.raises(FilmError, match=r"img_5.tif is cut short"):
        reader.read(5, 6)


def test_results_in_a_folder_of_the_folder(tmp_path: Path) -> None:
    film = make_film()
    write_folder(tmp_path / "raw", film)
    for name in ("x.sr.ome.tif", "renamed.tif"):
        (tmp_path / "results").mkdir(exist_ok=True)
        image = np.zeros((60, 60), np.float32)
        write_image(tmp_path / "results" / name, image, ImageFacts(20))
        np.testing.assert_array_equal(read_all(tmp_path), film)


def test_film_two_folders_down(tmp_path: Path) -> None:
    film = make_film()
    (tmp_path / "raw").mkdir()
    write_folder(tmp_path / "raw" / "Pos0", film)
    np.testing.assert_array_equal(read_all(tmp_path), film)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("img_{}.png", "is a folder with 3 .png files"),
        ("a{}.zarr/zarr.json", r"is a folder with a0.zarr, a1.zarr, a2.zarr, .*name one of these"),
        ("sub/f{}.nd2", r"with sub/f0.nd2, sub/f1.nd2, sub/f2.nd2, and no TIFF"),
    ],
)
def test_folder_without_tiff_files(tmp_path: Path, name: str, message: str) -> None:
    for number in range(3):
        path = tmp_path / name.format(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    with pytest.raises(FilmError, match=message):
        open_film(tmp_path)


def test_damaged_header(tmp_path: Path) -> None:
    (tmp_path / "f.tif").write_bytes(bytes(8) + make_film().tobytes())
    with pytest.raises(FilmError, match=r"or its header is damaged; .*: copy or export it again"):
        open_film(tmp_path / "f.tif")
