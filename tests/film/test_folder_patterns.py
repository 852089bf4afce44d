"""A folder is a film only if its names have one pattern; what is missing or other is named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.format_films import COUNT, HEIGHT_PX, WIDTH_PX, Film, make_film, read_all
from fakes.tiff_films import refuse
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image


def write(folder: Path, names: Iterable[str], film: Film | None = None) -> Film:
    film = make_film() if film is None else film
    for name, frame in zip(names, film, strict=True):
        tifffile.imwrite(folder / name, frame, photometric="minisblack")
    return film


def numbered(name: str, numbers: Iterable[int] = range(COUNT)) -> list[str]:
    return [name.format(number) for number in numbers]


@pytest.mark.parametrize(
    "names",
    [
        numbered("img_{:09}_Default_000.tif"),
        numbered("img_{}_Default_0.tif"),
        numbered("img_channel0_position0_time{}_z0.tif"),
        numbered("{}.tif"),
        numbered("film_t{}_z3.tif"),
        numbered("2024-01-05_cell7 #{}.tiff", range(1, 1 + COUNT)),
        numbered("every tenth {:05}.tif", range(0, 10 * COUNT, 10)),
        [f"t{i:03}_12h{i:02}m{3 * i % 60:02}.{7 * i:03}s.tif" for i in range(COUNT)],
    ],
    ids=lambda names: names[1],
)
def test_numbers_are_sorted_as_numbers(tmp_path: Path, names: list[str]) -> None:
    film = write(tmp_path, names)
    with open_film(tmp_path) as reader:
        assert (reader.warnings, reader.notes) == ((), ())
    np.testing.assert_array_equal(read_all(tmp_path), film)


@pytest.mark.parametrize(
    "other", ["MAX_film.tif", "brightfield.tif", "img_0001_thumb.tif", "a7.tif"]
)
def test_another_image_in_the_folder(tmp_path: Path, other: str) -> None:
    film = write(tmp_path, numbered("img_{:04}.tif"))
    tifffile.imwrite(tmp_path / other, film[0])
    message = refuse(tmp_path, "holds files of 2 kinds")
    assert f"(12 files img_*.tif; {other})" in message
    pattern = message.split("'")[1]
    assert pattern == ("img_????.tif" if "img" in other else "img_*.tif")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern=pattern)), film)


def test_two_series_in_a_folder(tmp_path: Path) -> None:
    cell_a = write(tmp_path, numbered("cellA_{:05}.tif"))
    cell_b = write(tmp_path, numbered("cellB_{:05}.tif"), make_film() + np.uint16(1))
    refuse(tmp_path, r"holds files of 2 kinds \(12 files cellA_\*.tif; 12 files cellB_\*.tif\)")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="cellA_*.tif")), cell_a)
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="cellB_*")), cell_b)
    named = tmp_path / "cellB_00003.tif"
    np.testing.assert_array_equal(read_all(named, Selection(pattern="cellB_*")), cell_b)
    with pytest.raises(
        FilmError, match=r"holds no TIFF file whose name matches --pattern cellC_\*"
    ):
        open_film(tmp_path, Selection(pattern="cellC_*"))
    with pytest.raises(FilmError, match=r"cellB_00003.tif does not match --pattern cellA_\*"):
        open_film(named, Selection(pattern="cellA_*"))


@pytest.mark.parametrize("second", [range(COUNT), range(COUNT, 2 * COUNT)])
def test_two_numbers_that_vary(tmp_path: Path, second: range) -> None:
    film = write(tmp_path, numbered("cell1_{:05}.tif"))
    write(tmp_path, numbered("cell2_{:05}.tif", second))
    message = refuse(tmp_path, "several numbers vary")
    assert "with --pattern, such as 'cell1_*.tif', or all with '*'" in message
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="cell1_*.tif")), film)


def test_axes_by_the_letters_before_numbers(tmp_path: Path) -> None:
    film = make_film().reshape(3, 2, 2, HEIGHT_PX, WIDTH_PX)
    for (t, c, z), frame in zip(
        np.ndindex(3, 2, 2), film.reshape(-1, HEIGHT_PX, WIDTH_PX), strict=True
    ):
        tifffile.imwrite(tmp_path / f"film_t{t + 1:03}_c{c + 1}_z{z + 1}.tif", frame)
    with pytest.raises(FilmError, match="--channel 0 to 1"):
        open_film(tmp_path, Selection(z=0))
    with open_film(tmp_path, Selection(channel=1, z=0)) as reader:
        np.testing.assert_array_equal(reader.read_all(), film[:, 1, 0])


def test_channels_have_names(tmp_path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    for (t, c), frame in zip(np.ndindex(6, 2), film.reshape(-1, HEIGHT_PX, WIDTH_PX), strict=True):
        tifffile.imwrite(tmp_path / f"img_{t}_{('640nm', '488nm')[c]}_0.tif", frame)
    with pytest.raises(FilmError, match=r"--channel 0 to 1 \(0 is 488nm, 1 is 640nm\)"):
        open_film(tmp_path)
    (tmp_path / "metadata.txt").write_text('{"Summary": {"ChNames": ["640nm", "488nm"]')
    with open_film(tmp_path, Selection(channel=0)) as reader:
        assert reader.notes == (f"channel 0 of {tmp_path.name} is 640nm",)
        np.testing.assert_array_equal(reader.read_all(), film[:, 0])


@pytest.mark.parametrize("name", ["img_{}.tif", "img_{:09}_Default_000.tif"])
def test_gap_in_the_numbers(tmp_path: Path, name: str) -> None:
    film = write(tmp_path, numbered(name))
    for number in (7, 8, 9):
        (tmp_path / name.format(number)).unlink()
    message = refuse(tmp_path, r"lacks frames 7 to 9 of 12 \(a file after img_0*6")
    assert "--allow-partial or the first ones with --frames :7" in message
    with open_film(tmp_path, allow_partial=True) as reader:
        assert "lacks frames 7 to 9" in reader.warnings[0]
        np.testing.assert_array_equal(reader.read_all(), np.delete(film, [7, 8, 9], axis=0))
    np.testing.assert_array_equal(read_all(tmp_path, Selection(frames=(0, 7))), film[:7])


def test_number_that_is_there_twice(tmp_path: Path) -> None:
    film = write(tmp_path, numbered("img_{:04}.tif"))
    tifffile.imwrite(tmp_path / "img_5.tif", film[5])
    message = refuse(tmp_path, "holds img_5.tif and img_0005.tif: a number is there twice")
    assert "keep one of them in the folder" in message


def test_acquisition_that_was_stopped(tmp_path: Path) -> None:
    film = write(tmp_path, numbered("img_{:09}_Default_000.tif"))
    (tmp_path / "metadata.txt").write_text('{"Summary": {"Frames": 20, "Prefix": "acq"')
    refuse(tmp_path, "lacks frames 12 to 19 of 20")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(frames=(0, 12))), film)
    with open_film(tmp_path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), film)


def test_damaged_file_is_a_gap(tmp_path: Path) -> None:
    film = write(tmp_path, numbered("img_{}.tif"))
    for number, size in ((0, 0), (3, 0), (5, 400)):
        path = tmp_path / f"img_{number}.tif"
        path.write_bytes(path.read_bytes()[:size])
    refuse(tmp_path, "lacks frames 0, 3")
    with open_film(tmp_path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(film, [0, 3, 5], axis=0))


def test_copy_that_ends_in_zeros(tmp_path: Path) -> None:
    film = write(tmp_path, numbered("img_{:02}.tif"))
    last = tmp_path / "img_11.tif"
    last.write_bytes(last.read_bytes()[: -film[0].nbytes - 100] + bytes(film[0].nbytes + 100))
    refuse(tmp_path, "lacks frame 11 of 12")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(frames=(0, 11))), film[:11])


@pytest.mark.parametrize("many", [1, 5])
def test_file_of_several_frames_among_single_ones(tmp_path: Path, many: int) -> None:
    film = write(tmp_path, numbered("a_{:04}.tif"))
    tifffile.imwrite(tmp_path / f"a_{many:04}.tif", film[:7], photometric="minisblack")
    with pytest.raises(FilmError, match=f"a_{many:04}.tif holds 7 frames, and the files beside"):
        open_film(tmp_path)


def test_a_film_and_a_picture(tmp_path: Path) -> None:
    film = make_film()
    tifffile.imwrite(tmp_path / "brightfield.tif", film[0])
    tifffile.imwrite(tmp_path / "film.tif", film, photometric="minisblack")
    message = refuse(tmp_path, r"holds 2 films \(brightfield.tif, film.tif\)")
    assert "name the file of one" in message
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="film*")), film)


@pytest.mark.parametrize("result", ["film.sr.ome.tif", "result.tif"])
def test_own_result_in_the_folder(tmp_path: Path, result: str) -> None:
    image = np.zeros((60, 60), np.float32)
    write_image(tmp_path / result, image, ImageFacts(20))
    refuse(tmp_path, "is a folder without a film")
    film = make_film()
    tifffile.imwrite(tmp_path / "film.tif", film, photometric="minisblack")
    np.testing.assert_array_equal(read_all(tmp_path), film)
    (tmp_path / "film.tif").unlink()
    write(tmp_path, numbered("frame{}.tif"))
    np.testing.assert_array_equal(read_all(tmp_path), film)


def test_films_in_folders_of_the_folder(tmp_path: Path) -> None:
    films = [make_film() + np.uint16(position) for position in range(3)]
    films[2] = films[2][:-1]  # the acquisition was stopped in the last round
    for position, film in enumerate(films):
        (tmp_path / f"Pos{position}").mkdir()
        names = numbered("img_{:09}_Default_000.tif", range(len(film)))
        write(tmp_path / f"Pos{position}", names, film)
    assert "--position 0 to 2 (0 is Pos0, 1 is Pos1, 2 is Pos2)" in refuse(tmp_path, "positions")
    for position in range(2):
        chosen = read_all(tmp_path, Selection(position=position))
        np.testing.assert_array_equal(chosen, films[position])
    with pytest.raises(FilmError, match=r"lacks frame 11 of 12 \(other positions have more"):
        open_film(tmp_path, Selection(position=2))
    with open_film(tmp_path, Selection(position=2), allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), films[2])
    tifffile.imwrite(tmp_path / "Pos1" / "brightfield.tif", films[0][0])
    refuse(tmp_path, r"holds films in folders of its own \(Pos0, Pos1, Pos2\)")


def test_the_only_folder_with_a_film(tmp_path: Path) -> None:
    (tmp_path / "Default").mkdir()
    film = write(tmp_path / "Default", numbered("img_channel000_position000_time{:09}_z000.tif"))
    np.testing.assert_array_equal(read_all(tmp_path), film)


def test_numbers_without_a_rule_are_noted(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    times = np.cumsum(random.integers(20, 30, COUNT))
    film = write(tmp_path, numbered("at {} ms.tif", times.tolist()))
    with open_film(tmp_path) as reader:
        assert "follow no rule, as times do" in reader.warnings[0]
        np.testing.assert_array_equal(reader.read_all(), film)


def test_pattern_for_a_film_that_is_no_folder(tmp_path: Path) -> None:
    film = tmp_path / "film.nd2"
    film.write_bytes(b"\xda\xce\xbe\x0a")
    with pytest.raises(SettingError, match=r"pattern is 'a\*'; expected none"):
        open_film(film, Selection(pattern="a*"))


def test_all_names_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    film = write(tmp_path, [f"t={number / 10:.2f}.tif" for number in range(5, 5 + COUNT)])
    refuse(tmp_path, "give no order")
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern="*")), film)


@pytest.mark.parametrize("endings", [("tif", "TIF"), ("tif", "tiff"), ("TIFF", "Tif")])
def test_endings_that_mean_the_same(tmp_path: Path, endings: tuple[str, str]) -> None:
    film = write(tmp_path, [f"img_{i}.{endings[i % 2]}" for i in range(COUNT)])
    np.testing.assert_array_equal(read_all(tmp_path), film)


@pytest.mark.parametrize(
    "others",
    [
        numbered("img_{}_2.tif", range(10)),
        numbered("img_{}_bleach.tif", range(10)),
        ["img_3 (1).tif", "Copy of img_3.tif"],
        ["img_a.tif", "img_10x.tif"],
    ],
    ids=lambda names: names[0],
)
def test_proposed_pattern_matches_one_film(tmp_path: Path, others: list[str]) -> None:
    film = write(tmp_path, numbered("img_{}.tif"))
    write(tmp_path, others, film[: len(others)] + np.uint16(1))
    pattern = refuse(tmp_path, "holds files of").split("'")[1]
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern=pattern)), film)
