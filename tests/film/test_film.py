"""Opening TIFF films: every layout reads back as written, and no more of it is read than asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.tiff_films import (
    BLOCK_WRITERS,
    COUNT,
    HEIGHT_PX,
    PAGE_WRITERS,
    WIDTH_PX,
    Film,
    Writer,
    each_writer,
    make_film,
    patch,
)
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats import tiff_layout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.tif"


@each_writer
def test_any_range_reads_back_as_written(path: Path, write: Writer) -> None:
    film = make_film()
    write(path, film)
    with open_film(path) as reader:
        assert (reader.frame_count, reader.height_px, reader.width_px) == film.shape
        assert reader.path == path
        for first, last in ((0, COUNT), (0, 1), (3, 7), (COUNT - 1, COUNT), (2, 4)):
            frames = reader.read(first, last)
            assert frames.dtype == np.uint16
            assert frames.dtype.isnative
            np.testing.assert_array_equal(frames, film[first:last])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["block", "zlib"])
def test_uint8_becomes_uint16(path: Path, options: dict[str, Any]) -> None:
    film = make_film().astype(np.uint8)
    tifffile.imwrite(path, film, **options)
    with open_film(path) as reader:
        assert reader.read(1, 3).dtype == np.uint16
        np.testing.assert_array_equal(reader.read(0, COUNT), film)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_axes_of_length_one_do_not_count(path: Path, axis: int) -> None:
    film = make_film()
    tifffile.imwrite(path, np.expand_dims(film, axis), photometric="minisblack")
    with open_film(path) as reader:
        np.testing.assert_array_equal(reader.read(0, COUNT), film)


@pytest.mark.parametrize("told", [("TZCYXS", (12, 1, 1, 1, 24, 1)), ("TYX", (12, 1, 24))])
def test_axes_of_length_one_do_not_count_whether_tifffile_tells_of_them(
    told: tuple[str, tuple[int, ...]],
) -> None:
    """Until 2026 it left them out, since then it does not."""
    series = SimpleNamespace(axes=told[0], shape=told[1])
    assert tiff_layout.dimensions(series) == ("TYX", (12, 1, 24))  # type: ignore[arg-type]


def write_ome_pair(folder: Path, film: Film) -> tuple[Path, Path]:
    """One film in two files, as Micro-Manager splits it at 4 GB."""
    paths, half = (folder / "film.ome.tif", folder / "film_1.ome.tif"), len(film) // 2
    planes = "".join(
        f'<TiffData FirstT="{index}" IFD="{index % half}" PlaneCount="1">'
        f'<UUID FileName="{paths[index // half].name}">urn:uuid:{index // half}</UUID></TiffData>'
        for index in range(len(film))
    )
    for number, path in enumerate(paths):
        ome = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{number}"><Image ID="Image:0"><Pixels DimensionOrder="XYZCT" '
            f'SizeX="{WIDTH_PX}" SizeY="{HEIGHT_PX}" SizeZ="1" SizeC="1" SizeT="{len(film)}" '
            f'Type="uint16">{planes}</Pixels></Image></OME>'
        )
        part = film[number * half :][:half]
        tifffile.imwrite(path, part, description=ome, metadata=None)
    return paths


def test_film_in_two_files_is_one(tmp_path: Path) -> None:
    film = make_film()
    first, second = write_ome_pair(tmp_path, film)
    with open_film(first) as reader:
        np.testing.assert_array_equal(reader.read(0, COUNT), film)
        np.testing.assert_array_equal(reader.read(5, 8), film[5:8])
    data = second.read_bytes()
    half = data[: len(data) // 2]
    for damaged in (half, half.ljust(len(data), b"\0"), b""):
        second.write_bytes(damaged)
        with pytest.raises(FilmError, match=r"film_1\.ome\.tif, one of its files, is cut short"):
            open_film(first)
        with open_film(first, allow_partial=True) as reader:
            assert 6 <= reader.frame_count < COUNT
            np.testing.assert_array_equal(reader.read_all(), film[: reader.frame_count])
    second.unlink()
    with pytest.raises(
        FilmError,
        match=r"lacks frames 6 to 11 of 12 \(film_1.ome.tif, which",
    ):
        open_film(first)


@pytest.mark.parametrize("write", BLOCK_WRITERS.values(), ids=BLOCK_WRITERS.keys())
def test_block_maps_only_what_is_asked(
    path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, make_film())
    with open_film(path) as reader:
        shapes: list[object] = []
        mapped = tifffile.FileHandle.memmap_array

        def memmap_array(file: tifffile.FileHandle, *args: Any) -> NDArray[Any]:
            shapes.append(args[1])
            return mapped(file, *args)

        monkeypatch.setattr(tifffile.FileHandle, "memmap_array", memmap_array)
        frames = reader.read(3, 6)
    assert shapes == [(3, HEIGHT_PX, WIDTH_PX)]
    assert not isinstance(frames, np.memmap)


@pytest.mark.parametrize("write", PAGE_WRITERS.values(), ids=PAGE_WRITERS.keys())
def test_pages_decode_only_what_is_asked(
    path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(400)
    write(path, film)
    decoded: list[int] = []
    asarray = tifffile.TiffPage.asarray

    def counted(page: tifffile.TiffPage, **options: Any) -> NDArray[Any]:
        decoded.append(page.index)
        return asarray(page, **options)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
    with open_film(path) as reader:
        assert sorted(decoded) == [0, 399]
        np.testing.assert_array_equal(reader.read(200, 203), film[200:203])
    assert sorted(decoded) == [0, 200, 201, 202, 399]


@pytest.mark.parametrize("first_last", [(-1, 2), (3, 3), (4, 2), (0, COUNT + 1)])
def test_range_outside_the_film_is_refused(path: Path, first_last: tuple[int, int]) -> None:
    tifffile.imwrite(path, make_film())
    with open_film(path) as reader, pytest.raises(FilmError, match="has frames 0 to 11, not"):
        reader.read(*first_last)


@each_writer
def test_closed_after_its_block(path: Path, write: Writer) -> None:
    write(path, make_film())
    with open_film(path) as reader:
        frames = reader.read(0, 2)
    np.testing.assert_array_equal(frames, make_film()[:2])
    with pytest.raises(FilmError, match="was closed"):
        reader.read(0, 2)


def ome(**metadata: object) -> dict[str, Any]:
    return {"ome": True, "metadata": {"axes": "TYX"} | metadata}


def imagej(unit: str, per_unit: float) -> dict[str, Any]:
    metadata = {"axes": "TYX", "unit": unit}
    return {"imagej": True, "resolution": (per_unit, per_unit), "metadata": metadata}


def tags(unit: str, per_unit: float) -> dict[str, Any]:
    return {"resolution": (per_unit, per_unit), "resolutionunit": unit}


PIXEL_SIZES: dict[str, tuple[dict[str, Any], float | None]] = {
    "OME, no unit": (ome(PhysicalSizeX=0.1), 100.0),
    "OME, um": (ome(PhysicalSizeX=0.16, PhysicalSizeXUnit="\u00b5m"), 160.0),
    "OME, nm": (ome(PhysicalSizeX=106.7, PhysicalSizeXUnit="nm"), 106.7),
    "OME, pixel": (ome(PhysicalSizeX=1.0, PhysicalSizeXUnit="pixel"), None),
    "OME, not calibrated": (ome(PhysicalSizeX=1.0), None),
    "OME, not a number": (ome(PhysicalSizeX="unknown"), None),
    "OME, none": (ome(), None),
    "ImageJ, micron": (imagej("micron", 10.0), 100.0),
    "ImageJ, um": (imagej("um", 8.0), 125.0),
    "ImageJ, escaped micro sign": (imagej(r"\u00B5m", 8.0), 125.0),
    "ImageJ, nm": (imagej("nm", 0.01), 100.0),
    "ImageJ, cm": (imagej("cm", 1e5), 100.0),
    "ImageJ, pixel": (imagej("pixel", 10.0), None),
    "ImageJ, um of 1 pixel": (imagej("um", 1.0), None),
    "ImageJ, none": ({"imagej": True, "metadata": {"axes": "TYX"}}, None),
    "tags, cm": (tags("CENTIMETER", 1e5), 100.0),
    "tags, inch": (tags("INCH", 254000), 100.0),
    "tags, no unit": (tags("NONE", 1e5), None),
    "tags, 72 dpi": (tags("INCH", 72), None),
    "tags, 0": (tags("CENTIMETER", 0), None),
    "none": ({}, None),
}


@pytest.mark.parametrize(("options", "expected_nm"), PIXEL_SIZES.values(), ids=PIXEL_SIZES.keys())
def test_pixel_size_is_what_is_written_if_believable(
    path: Path, options: dict[str, Any], expected_nm: float | None
) -> None:
    tifffile.imwrite(path, make_film(), **options)
    with open_film(path) as reader:
        assert reader.pixel_size_nm == (None if expected_nm is None else pytest.approx(expected_nm))


def test_micro_sign_of_old_imagej(path: Path) -> None:
    tifffile.imwrite(path, make_film(), **imagej("um", 8.0))
    patch(path, b"unit=um", b"unit=\xb5m")
    with open_film(path) as reader:
        assert reader.pixel_size_nm == pytest.approx(125.0)


def test_preview_does_not_count(path: Path) -> None:
    film = make_film()
    with tifffile.TiffWriter(path) as tif:
        tif.write(film, metadata=None)
        tif.write(film[0, :16, :16], metadata=None, subfiletype=1)
    with open_film(path) as reader:
        np.testing.assert_array_equal(reader.read(0, COUNT), film)
