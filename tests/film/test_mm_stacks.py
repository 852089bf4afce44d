"""MMStack films: several files, positions, aborted acquisitions, and own results beside them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fakes.format_films import COUNT, Film, make_film, read_all
from fakes.micro_manager_films import Place, write_mmstack
from fakes.tiff_films import patch
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image


def write_mm_stack(
    path: Path, planes: dict[Place, Any], *, indexed: bool = True, **stated: Any
) -> Path:
    summary = {"Frames": 1, "Channels": 1, "Slices": 1, "Positions": 1, "Prefix": "acq"} | stated
    write_mmstack(path, planes, summary=summary, indexed=indexed)
    return path


def planes_of(film: Film, first: int = 0, position: int = 0) -> dict[Place, Any]:
    """Frames (T, Y, X) by their places, the first at this time."""
    return {(0, 0, first + index, position): frame for index, frame in enumerate(film)}


def write_parts(folder: Path, film: Film, frames: int = COUNT) -> tuple[Path, Path]:
    first = write_mm_stack(folder / "acq_MMStack_Pos0.ome.tif", planes_of(film[:8]), Frames=frames)
    second = write_mm_stack(
        folder / "acq_MMStack_Pos0_1.ome.tif", planes_of(film[8:], first=8), Frames=frames
    )
    return first, second


def write_positions(folder: Path, films: list[Film], **summary: Any) -> list[Path]:
    """Three positions that were visited in turn, a file each."""
    labels = [{"Label": f"Pos{number}"} for number in range(len(films))]
    stated: dict[str, Any] = {
        "Frames": len(films[0]),
        "Positions": len(films),
        "StagePositions": labels,
        **summary,
    }
    return [
        write_mm_stack(
            folder / f"acq_MMStack_1-Pos00{number}_000.ome.tif",
            planes_of(film, position=number),
            **stated,
        )
        for number, film in enumerate(films)
    ]


def films_of_positions() -> list[Film]:
    return [make_film() + np.uint16(number) for number in range(3)]


@pytest.mark.parametrize("named", ["acq_MMStack_Pos0.ome.tif", "acq_MMStack_Pos0_1.ome.tif", ""])
def test_several_files_are_one_film(tmp_path: Path, named: str) -> None:
    film = make_film()
    write_parts(tmp_path, film)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_all(tmp_path / named), film)


@pytest.mark.parametrize("result", ["acq_MMStack_Pos0.sr.ome.tif", "acq_MMStack_Pos0_x.tif"])
@pytest.mark.parametrize("named", ["acq_MMStack_Pos0.ome.tif", "acq_MMStack_Pos0_1.ome.tif", ""])
def test_own_result_is_no_part(tmp_path: Path, named: str, result: str) -> None:
    film = make_film()
    write_parts(tmp_path, film)
    image = np.zeros((60, 60), np.float32)
    write_image(tmp_path / result, image, ImageFacts(20))
    np.testing.assert_array_equal(read_all(tmp_path / named), film)


def test_position_is_that_of_the_file(tmp_path: Path) -> None:
    films = films_of_positions()
    paths = write_positions(tmp_path, films)
    for path, film in zip(paths, films, strict=True):
        np.testing.assert_array_equal(read_all(path), film)
    np.testing.assert_array_equal(read_all(paths[0], Selection(position=2)), films[2])


def test_position_of_a_folder_is_chosen(tmp_path: Path) -> None:
    films = films_of_positions()
    write_positions(tmp_path, films)
    with pytest.raises(FilmError, match=r"--position 0 to 2 \(0 is Pos0, 1 is Pos1, 2 is Pos2\)"):
        open_film(tmp_path)
    for position, film in enumerate(films):
        with open_film(tmp_path, Selection(position=position)) as reader:
            assert f"position {position} of {tmp_path.name} is Pos{position}" in reader.notes
            np.testing.assert_array_equal(reader.read_all(), film)


def test_position_whose_file_is_missing(tmp_path: Path) -> None:
    films = films_of_positions()
    paths = write_positions(tmp_path, films)
    paths[1].unlink()
    np.testing.assert_array_equal(read_all(tmp_path, Selection(position=2)), films[2])
    np.testing.assert_array_equal(read_all(paths[0]), films[0])
    with pytest.raises(FilmError, match="lacks frames 0 to 11 of 12"):
        open_film(tmp_path, Selection(position=1))


def test_acquisition_that_was_aborted(tmp_path: Path) -> None:
    films = films_of_positions()
    films[2] = films[2][:-1]
    paths = write_positions(tmp_path, films)
    np.testing.assert_array_equal(read_all(paths[0]), films[0])
    with pytest.raises(FilmError, match=r"lacks frame 11 of 12 .*the acquisition was stopped"):
        open_film(paths[2])
    np.testing.assert_array_equal(read_all(paths[2], Selection(frames=(0, 11))), films[2])
    with open_film(paths[2], allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), films[2])


def test_missing_file_is_named(tmp_path: Path) -> None:
    film = make_film()
    first, second = write_parts(tmp_path, film)
    second.rename(tmp_path / "renamed.tif")  # it is found by what is in it
    np.testing.assert_array_equal(read_all(first), film)
    (tmp_path / "renamed.tif").unlink()
    with pytest.raises(
        FilmError, match=r"lacks frames 8 to 11 .*acq_MMStack_Pos0_1.ome.tif is not"
    ):
        open_film(first)


def test_file_cut_short(tmp_path: Path) -> None:
    film = make_film()
    first, _ = write_parts(tmp_path, film)
    data = first.read_bytes()
    first.write_bytes(data[: len(data) - 3000])  # its index map is lost
    with pytest.raises(FilmError, match="lacks frames 5 to 11 of 12"):
        open_film(first)


def test_two_acquisitions_in_a_folder(tmp_path: Path) -> None:
    film = make_film()
    write_parts(tmp_path, film)
    other = write_mm_stack(
        tmp_path / "b_MMStack_Pos0.ome.tif", planes_of(film), Frames=COUNT, Prefix="b"
    )
    with pytest.raises(FilmError, match=r"no part of it \(b_MMStack_Pos0.ome.tif\)"):
        open_film(tmp_path)
    np.testing.assert_array_equal(read_all(other), film)
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="acq*")), film)


def test_crashed_program_leaves_pages(tmp_path: Path) -> None:
    film = make_film()
    path = write_mm_stack(tmp_path / "acq_MMStack.ome.tif", planes_of(film), indexed=False)
    np.testing.assert_array_equal(read_all(path), film)


def test_pixel_size_of_the_summary(tmp_path: Path) -> None:
    path = write_mm_stack(
        tmp_path / "acq_MMStack.ome.tif", planes_of(make_film()), Frames=COUNT, PixelSize_um=0.108
    )
    patch(path, b'"PixelSizeUm": 0.1', b'"PixelSizeUm": 0.0')
    with open_film(path) as reader:
        assert reader.pixel_size().nm == pytest.approx(108)
    with tifffile.TiffFile(path) as tif:  # the fake is what tifffile takes for the format
        assert tif.series[0].kind == "mmstack"


def test_positions_of_ome_images(tmp_path: Path) -> None:
    films, path = films_of_positions(), tmp_path / "film.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number, film in enumerate(films):
            named = {"axes": "TYX", "Name": f"well {number}", "PhysicalSizeX": 0.108}
            tif.write(film, photometric="minisblack", metadata=named)
    with pytest.raises(FilmError, match=r"--position 0 to 2 \(0 is well 0, 1 is well 1, 2 is"):
        open_film(path)
    for position, film in enumerate(films):
        with open_film(path, Selection(position=position)) as reader:
            assert reader.pixel_size().nm == pytest.approx(108)
            np.testing.assert_array_equal(reader.read_all(), film)
