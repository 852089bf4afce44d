"""The films of a batch: from folders, lists and globs, with names and images of their own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import write_film
from smlm_pipeline.batch.films import Search, find_films
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.ome_zarr import write_zarr


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    for name in ("b.tif", "a.tif", "day2/a.tif", "day2/wells/c3.tif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_film(folder / name)
    return folder


def names(*inputs: Path, **options: object) -> list[str]:
    films, _ = find_films(Search(inputs, Path("out"), **options))  # type: ignore[arg-type]
    return [film.name for film in films]


def test_folders_of_folders(night: Path) -> None:
    films, passed_over = find_films(Search([night], Path("out")))
    assert [film.name for film in films] == ["a.tif", "b.tif", "day2/a.tif", "day2/wells/c3.tif"]
    assert films[3].image == Path("out/day2/wells/c3.sr.ome.tif")
    assert films[3].path == night / "day2/wells/c3.tif"
    assert passed_over == []
    assert names(night, sub_folders=False) == ["a.tif", "b.tif"]


def test_include_and_exclude(night: Path) -> None:
    assert names(night, include=["a.*"]) == ["a.tif", "day2/a.tif"]
    assert names(night, include=["day2/*"]) == ["day2/a.tif", "day2/wells/c3.tif"]
    assert names(night, exclude=["day2/*", "b*"]) == ["a.tif"]


def test_the_folder_of_results_is_not_searched(night: Path) -> None:
    films, _ = find_films(Search([night], night / "day2"))
    assert [film.name for film in films] == ["a.tif", "b.tif"]


def test_results_are_not_written_among_the_films(night: Path) -> None:
    with pytest.raises(SettingError, match=r"the folder of the films itself; expected another"):
        find_films(Search([night], night))


def test_list(night: Path) -> None:
    """Relative to the list; a film that is missing is found, and refused when it is opened."""
    listed = night / "films.txt"
    text = f'\ufeff# the good ones\nb.tif\n"day2"\n\nno.tif\n{night.parent / "far.tif"}\n'
    listed.write_text(text, encoding="utf-8")
    assert names(listed) == ["b.tif", "a.tif", "wells/c3.tif", "no.tif", "far.tif"]


def test_films_and_globs(night: Path) -> None:
    assert names(night / "b.tif", night / "day2" / "a.tif") == ["b.tif", "a.tif"]
    assert names(night / "*.tif") == ["a.tif", "b.tif"]
    assert names(night / "b.tif", night / "b.tif") == ["b.tif"]


def test_several_folders_keep_their_names(night: Path) -> None:
    other = night.with_name("other")
    other.mkdir()
    write_film(other / "a.tif")
    assert names(night / "day2", other) == ["day2/a.tif", "day2/wells/c3.tif", "other/a.tif"]


def test_endings_tell_films_apart(night: Path) -> None:
    (night / "a.nd2").write_bytes(b"no film")
    films, _ = find_films(Search([night], Path("out"), sub_folders=False))
    assert [film.image.name for film in films] == [
        *("a.nd2.sr.ome.tif", "a.tif.sr.ome.tif", "b.sr.ome.tif"),
    ]


def test_series_of_a_folder(night: Path) -> None:
    single = night / "frames"
    single.mkdir()
    for number in range(3):
        for cell in "AB":
            frame = np.full((16, 16), number, np.uint16)
            tifffile.imwrite(single / f"cell{cell}_{number}.tif", frame)
    films, _ = find_films(Search([single], Path("out")))
    assert [(film.name, film.pattern) for film in films] == [
        ("cellA", "cellA_*.tif"),
        ("cellB", "cellB_*.tif"),
    ]


def test_one_name_twice_is_refused(night: Path) -> None:
    with pytest.raises(SettingError, match=r"would both become out/a\.tif\.sr\.ome\.tif; expected"):
        names(night / "a.tif", night / "day2" / "a.tif")


def test_results_are_no_films_even_if_named(night: Path) -> None:
    image = np.ones((64, 64), np.float32)
    write_image(night / "fine.tif", image, ImageFacts(10))
    write_zarr(night / "fine.zarr", image, ImageFacts(10))
    (night / "a.sr.png").touch()
    inputs = [night / "b.tif", night / "fine.tif", night / "fine.zarr", night / "a.sr.png"]
    films, passed_over = find_films(Search(inputs, Path("out")))
    assert [film.name for film in films] == ["b.tif"]
    assert [each.path.name for each in passed_over] == ["fine.tif", "fine.zarr", "a.sr.png"]
    assert names(night, sub_folders=False) == ["a.tif", "b.tif"]


@pytest.mark.parametrize("absent", ["nihgt", "films.txt", "c.tif", "no*.tif", "x" * 300])
def test_an_input_that_is_not_there_is_refused(night: Path, absent: str) -> None:
    """A folder, a list or a film that was mistyped, or a glob that matches nothing."""
    complaint = rf"there is no {re.escape(str(night / absent))}; expected folders with films"
    with pytest.raises(SettingError, match=complaint):
        names(night, night / absent)


@pytest.mark.parametrize(
    ("held", "complaint"),
    [(b"\xff\xfe bad\n", "it is no text in UTF-8"), (b"a\0b\n", "it is no text")],
)
def test_a_list_that_is_no_text_is_refused(night: Path, held: bytes, complaint: str) -> None:
    listed = night / "films.txt"
    listed.write_bytes(held)
    with pytest.raises(SettingError, match=f"cannot be read as a list of films .{complaint}.; exp"):
        names(listed)


def test_all_inputs_that_are_not_there_are_named(night: Path) -> None:
    with pytest.raises(SettingError, match="there is no nihgt and no day3; expected folders"):
        names(Path("nihgt"), night, Path("day3"))


def test_nothing_to_do(night: Path) -> None:
    with pytest.raises(FilmError, match=r"there is no film in .*night; expected folders"):
        names(night, include=["nothing*"])
