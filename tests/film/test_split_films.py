"""Films in several files: joined where it is certain, otherwise the others are named."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.format_films import Film, make_film, read_all, write_raw
from fakes.tiff_films import refuse
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats import split_films
from smlm_pipeline.film.selection import Selection

SURE = [
    ("film.tif", "film_X2.tif", "film_X3.tif"),
    ("film.tif", "film-file002.tif", "film-file003.tif"),
    ("a_1.tif", "a_1_X2.tif", "a_1_X3.tif"),
    ("film.tif", "film_X1.tif", "film_X2.tif"),
]
COUNTED = [
    ("film_0000.tif", "film_0001.tif", "film_0002.tif"),
    ("film.tif", "film_1.tif", "film_2.tif"),
    ("film-1.tif", "film-2.tif", "film-3.tif"),
    ("film9.tif", "film10.tif", "film11.tif"),
    ("film.tif", "film@0001.tif", "film@0002.tif"),
]


def write(folder: Path, names: tuple[str, ...], counts: tuple[int, ...] = (5, 5, 2)) -> Film:
    film, first = make_film(), 0
    for name, count in zip(names, counts, strict=True):
        part = film[first : first + count]
        tifffile.imwrite(folder / name, part, photometric="minisblack", metadata=None)
        first += count
    return film


@pytest.mark.parametrize("names", [*SURE, *COUNTED], ids=lambda names: names[1])
def test_folder_of_parts_is_one_film(tmp_path: Path, names: tuple[str, ...]) -> None:
    film = write(tmp_path, names)
    with open_film(tmp_path) as reader:
        (warning,) = reader.warnings
        assert warning.endswith("are taken as one film of 12 frames")
        assert all(name in warning for name in names)
        for first, last in ((0, 12), (3, 6), (4, 11), (10, 12)):
            np.testing.assert_array_equal(reader.read(first, last), film[first:last])
    np.testing.assert_array_equal(read_all(tmp_path, Selection(frames=(1, 12, 3))), film[1::3])


@pytest.mark.parametrize("names", SURE, ids=lambda names: names[1])
def test_first_file_is_continued(tmp_path: Path, names: tuple[str, ...]) -> None:
    film = write(tmp_path, names, (4, 5, 3))
    np.testing.assert_array_equal(read_all(tmp_path / names[0]), film)
    with open_film(tmp_path / names[1]) as reader:
        assert reader.frame_count == 5
        assert f"name {names[0]} to take them as one" in reader.warnings[0]


@pytest.mark.parametrize("names", COUNTED, ids=lambda names: names[1])
def test_files_that_may_continue_are_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    film = write(tmp_path, names)
    with open_film(tmp_path / names[0]) as reader:
        assert reader.frame_count == 5
        (note,) = reader.warnings
    assert note.startswith(f"{names[1]} and {names[2]} are beside {names[0]}")
    pattern = note.split("'")[1]
    np.testing.assert_array_equal(read_all(tmp_path, Selection(pattern=pattern)), film)
    np.testing.assert_array_equal(read_all(tmp_path / names[0], Selection(pattern=pattern)), film)


LOST = ["f_part{}.tif", "f_t{}.tif", "f-{}.tif", "f.{}.tif", "f_{:04}.tif", "f@{:04}.tif"]


@pytest.mark.parametrize("name", LOST)
def test_files_after_one_that_is_lost_are_named(tmp_path: Path, name: str) -> None:
    film = write(tmp_path, (name.format(1), name.format(3), name.format(4)))
    for number in (1, 3):
        with open_film(tmp_path / name.format(number)) as reader:
            (warning,) = reader.warnings
        assert "of which number 2 is not there" in warning
        pattern = warning.split("'")[1]
        with pytest.raises(FilmError, match=r"lacks frames 5 to 9 .*part 2 is not there"):
            open_film(tmp_path, Selection(pattern=pattern))
        with open_film(tmp_path, Selection(pattern=pattern), allow_partial=True) as reader:
            np.testing.assert_array_equal(reader.read_all()[:10], film[:10])


@pytest.mark.parametrize("name", ["f@{:04}.tif", "f_{:03}.tif"])
def test_second_file_that_is_lost(tmp_path: Path, name: str) -> None:
    write(tmp_path, ("f.tif", name.format(1), name.format(2)))
    (tmp_path / name.format(1)).unlink()
    refuse(tmp_path, "holds 2 films")
    with open_film(tmp_path / "f.tif") as reader:
        (warning,) = reader.warnings
    assert "of which number 1 is not there" in warning


def test_copies_are_named_and_not_joined(tmp_path: Path) -> None:
    film = write(tmp_path, ("f.tif", "f (2).tif", "f (3).tif"))
    refuse(tmp_path, "holds")
    with open_film(tmp_path / "f.tif") as reader:
        (warning,) = reader.warnings
    assert warning.startswith("f (2).tif and f (3).tif are beside f.tif")
    chosen = read_all(tmp_path / "f.tif", Selection(pattern=warning.split("'")[1]))
    np.testing.assert_array_equal(chosen, film)


def test_files_of_the_largest_size_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write(tmp_path, COUNTED[0])
    monkeypatch.setattr(split_films, "_SPLIT_BYTES", 1000)
    np.testing.assert_array_equal(read_all(tmp_path / COUNTED[0][0]), film)


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (("cell_1.tif", "cell_2.tif", "cell_3.tif"), (4, 4, 4)),
        (("Pos0.tif", "Pos1.tif", "Pos2.tif"), (4, 4, 4)),
        (("a.tif", "b.tif", "c.tif"), (5, 5, 2)),
        (("film_1.tif", "film_2.tif", "film_3.tif"), (3, 5, 4)),
        (("film_1.tif", "film_2.tif", "film_4.tif"), (5, 5, 2)),
    ],
)
def test_samples_are_not_added(
    tmp_path: Path, names: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    write(tmp_path, names, counts)
    refuse(tmp_path, "holds (3 films|films of different lengths|files of)")
    with open_film(tmp_path / names[0]) as reader:
        assert reader.frame_count == counts[0]


def sample(seed: int, count: int) -> Film:
    """Frames of a sample: molecules at its own places blink, under the same lamp."""
    random = np.random.default_rng(seed)
    lamp = 20 * np.exp(-(((np.arange(48) - 24) / 15) ** 2))
    light = lamp[:, None] + lamp + np.zeros((count, 48, 48))
    for y, x in random.integers(1, 47, (25, 2)):
        light[random.random(count) < 0.3, y - 1 : y + 2, x - 1 : x + 2] += 200
    frames: Film = random.poisson(light).astype(np.uint16)
    return frames


@pytest.mark.parametrize("same", [False, True])
def test_pictures_decide_whether_films_are_of_one_sample(tmp_path: Path, same: bool) -> None:
    film = sample(1, 40)
    parts = (film[:20], film[20:]) if same else (film[:20], sample(2, 20))
    paths = [tmp_path / f"film_{number}.tif" for number in (1, 2)]
    for path, part in zip(paths, parts, strict=True):
        tifffile.imwrite(path, part, photometric="minisblack")
    with open_film(paths[0]) as reader:
        assert len(reader.warnings) == same
    if same:
        np.testing.assert_array_equal(read_all(tmp_path), film)
    else:
        with pytest.raises(FilmError, match=r"film_2.tif shows another sample than film_1.tif"):
            open_film(tmp_path)
        joined = read_all(tmp_path, Selection(pattern="film_*"))
        np.testing.assert_array_equal(joined, np.concatenate(parts))


def test_part_that_is_missing(tmp_path: Path) -> None:
    film = write(tmp_path, SURE[0])
    (tmp_path / "film_X2.tif").unlink()
    refuse(tmp_path / "film.tif", r"lacks frames 5 to 9 of 12 \(part 2 is not there\)")
    with open_film(tmp_path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), film[[0, 1, 2, 3, 4, 10, 11]])


def test_first_part_that_is_missing(tmp_path: Path) -> None:
    film = write(tmp_path, SURE[0])
    (tmp_path / "film.tif").unlink()
    refuse(tmp_path, r"lacks frames 0 to 4 of 12 \(part 1 is not there\)")
    (tmp_path / "film_X3.tif").unlink()
    with open_film(tmp_path / "film_X2.tif") as reader:
        assert "seems to continue another file" in reader.warnings[0]
        np.testing.assert_array_equal(reader.read_all(), film[5:10])


def test_part_of_another_size(tmp_path: Path) -> None:
    film = write(tmp_path, SURE[0])
    tifffile.imwrite(tmp_path / "film_X2.tif", film[:5, :, :20], photometric="minisblack")
    with pytest.raises(FilmError, match=r"film_X2.tif is \(20, 20\) uint16, and film.tif is"):
        open_film(tmp_path)


def test_raw_files_that_may_continue_are_named(tmp_path: Path) -> None:
    film = make_film()
    write_raw(tmp_path / "film", film)
    write_raw(tmp_path / "film_1", film[:4])
    with open_film(tmp_path / "film.raw") as reader:
        (note,) = reader.warnings
    assert note.startswith("film_1.raw is beside film.raw and may be of the same film")
    both = read_all(tmp_path / "film.raw", Selection(pattern=note.split("'")[1]))
    np.testing.assert_array_equal(both, np.concatenate([film, film[:4]]))
    with pytest.raises(FilmError, match=r"film.raw does not match --pattern film_\*"):
        open_film(tmp_path / "film.raw", Selection(pattern="film_*"))


def test_files_of_one_ome_film_are_read_without_warnings(tmp_path: Path) -> None:
    film = make_film()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_ome_set(tmp_path, film)
        for path in ("film.ome.tif", "film_1.ome.tif", ""):
            np.testing.assert_array_equal(read_all(tmp_path / path), film)


def test_file_of_an_ome_film_without_its_description(tmp_path: Path) -> None:
    film = make_film()
    write_ome_set(tmp_path, film)
    (tmp_path / "film.ome.tif").rename(tmp_path / "other.ome.tif")
    with open_film(tmp_path / "film_1.ome.tif") as reader:
        assert "is described by film.ome.tif, which is not beside it" in reader.warnings[0]
        np.testing.assert_array_equal(reader.read_all(), film[6:])


def write_ome_set(folder: Path, film: Film) -> None:
    """Two files, of which the first describes both, as Micro-Manager writes them."""
    names, half = ("film.ome.tif", "film_1.ome.tif"), len(film) // 2
    planes = "".join(
        f'<TiffData FirstT="{i}" IFD="{i % half}" PlaneCount="1">'
        f'<UUID FileName="{names[i // half]}">urn:uuid:{i // half}</UUID></TiffData>'
        for i in range(len(film))
    )
    head = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:'
    pixels = (
        f'<Image ID="Image:0"><Pixels DimensionOrder="XYZCT" SizeX="{film.shape[2]}" '
        f'SizeY="{film.shape[1]}" SizeZ="1" SizeC="1" SizeT="{len(film)}" Type="uint16">{planes}'
        "</Pixels></Image>"
    )
    others = f'<BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:0"/>'
    for number, (name, inside) in enumerate(zip(names, (pixels, others), strict=True)):
        tifffile.imwrite(
            folder / name,
            film[number * half :][:half],
            description=f'{head}{number}">{inside}</OME>',
            metadata=None,
            photometric="minisblack",
        )
