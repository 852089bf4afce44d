"""Versions, axes and oddities of each format of cameras' and microscopes' programs."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits

from fakes.camera_films import (
    SIF_VERSIONS,
    characters,
    write_dcimg,
    write_dcimg_old,
    write_fits,
    write_hdf5,
    write_imaris,
    write_sif,
    write_spe2,
    write_spe3,
    write_stk,
)
from fakes.format_films import COUNT, HEIGHT_PX, WIDTH_PX, make_film, read_all
from fakes.microscope_films import CZI_CODES, write_czi, write_lif, write_lif_images
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.registry import open_source
from smlm_pipeline.film.selection import Selection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film"


def refuse(path: Path, told: str, selection: Selection | None = None) -> None:
    with pytest.raises(FilmError, match=told):
        open_film(path, selection)


# --- SPE ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<u4"])
def test_types_of_spe(path: Path, dtype: str) -> None:
    film = (make_film() % 5000).astype(dtype)
    np.testing.assert_array_equal(read_all(write_spe2(path, film)), film)


@pytest.mark.parametrize("stamp_bytes", [0, 8, 24])
def test_time_stamps_between_the_frames_of_spe(path: Path, stamp_bytes: int) -> None:
    np.testing.assert_array_equal(read_all(write_spe3(path, make_film(), stamp_bytes)), make_film())


def test_regions_of_spe(path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    two = write_spe3(path, film.reshape(-1, HEIGHT_PX, WIDTH_PX), regions=2)
    refuse(two, r"several positions .*--position 0 to 1")
    for position in (0, 1):
        np.testing.assert_array_equal(
            read_all(two, Selection(position=position)), film[:, position]
        )
    refuse(write_spe2(path, make_film(), regions=2), "holds 2 regions of the camera")


def test_spe_without_its_description(path: Path) -> None:
    film = write_spe3(path, make_film())
    data = film.read_bytes()
    film.write_bytes(data[: data.index(b"<SpeFormat") + 40])
    np.testing.assert_array_equal(read_all(film), make_film())


def test_spe_that_counts_too_few_frames(path: Path) -> None:
    film = write_spe2(path, make_film())
    data = bytearray(film.read_bytes())
    struct.pack_into("<i", data, 1446, 7)
    film.write_bytes(data)
    refuse(film, r"holds 12 frames, but its header counts 7; .*--allow-partial or .*--frames")
    np.testing.assert_array_equal(read_all(film, Selection(frames=(0, 12))), make_film())


# --- SIF ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", SIF_VERSIONS)
def test_versions_of_sif(path: Path, version: int) -> None:
    np.testing.assert_array_equal(read_all(write_sif(path, make_film(), version)), make_film())


@pytest.mark.parametrize("first", [b"    ", b"\n\n\n\n", b"\r\n 1"])
def test_values_of_sif_that_look_like_text(path: Path, first: bytes) -> None:
    film = make_film().astype("<f4")
    film[0, 0, 0] = np.frombuffer(first, "<f4")[0]
    with open_source(write_sif(path, film)) as source:
        np.testing.assert_array_equal(source.read(range(2), slice(0, 20), slice(0, 24)), film[:2])


def test_subimages_of_sif(path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    two = write_sif(path, film, subimages=2)
    refuse(two, r"several positions .*--position 0 to 1")
    for position in (0, 1):
        np.testing.assert_array_equal(
            read_all(two, Selection(position=position)), film[:, position]
        )
    uneven = two.read_bytes().replace(b"\n65538 1 40 24 21 1 1 0", b"\n65538 1 40 23 21 1 1 0")
    two.write_bytes(uneven)
    refuse(two, "holds 2 subimages that differ in size; .*in Solis")


# --- DCIMG ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("top_px", "moves"), [(1023, True), (1004, True), (0, True), (0, False)])
def test_moved_pixels_of_dcimg(path: Path, top_px: int, moves: bool) -> None:
    film = make_film()
    np.testing.assert_array_equal(read_all(write_dcimg(path, film, top_px, moves)), film)


@pytest.mark.parametrize(("row_px", "pad_px"), [(0, 0), (0, 8), (7, 3)])
def test_moved_pixels_of_older_dcimg(path: Path, row_px: int, pad_px: int) -> None:
    film = make_film()
    np.testing.assert_array_equal(read_all(write_dcimg_old(path, film, row_px, pad_px)), film)


def test_unknown_version_of_dcimg(path: Path) -> None:
    film = write_dcimg(path, make_film())
    data = bytearray(film.read_bytes())
    struct.pack_into("<I", data, 8, 0x2000000)
    film.write_bytes(data)
    refuse(film, "unknown DCIMG version 0x2000000; .*as TIFF in HCImage")


# --- Imaris and HDF5 ------------------------------------------------------------------------


@pytest.mark.parametrize("block", [(1, 16, 16), (2, 8, 32), (3, 20, 24)])
def test_channels_and_depths_of_imaris(path: Path, block: tuple[int, int, int]) -> None:
    film = np.arange(4 * 2 * 3 * 20 * 24, dtype="<u2").reshape(4, 2, 3, 20, 24)
    file = write_imaris(path, film, block)
    refuse(file, r"several channels .*--channel 0 to 1", Selection(z=0))
    found = read_all(file, Selection(channel=1, z=2))
    np.testing.assert_array_equal(found, film[:, 1, 2])


def test_depths_of_imaris_as_frames(path: Path) -> None:
    film = make_film()
    file = write_imaris(path, film[None], (8, 16, 16))
    np.testing.assert_array_equal(read_all(file), film)
    np.testing.assert_array_equal(read_all(file, Selection(frames=(1, 12, 3))), film[1::3])


def test_imaris_that_lacks_time_points(path: Path) -> None:
    film = make_film()
    file = write_imaris(path, film)
    with h5py.File(file, "r+") as opened:
        del opened["DataSet/ResolutionLevel 0/TimePoint 7"]
        opened["DataSetInfo/TimeInfo"].attrs["DatasetTimePoints"] = characters(14)
    refuse(file, r"lacks frames 7, 12 to 13 of 14 \(channel 0 of time point 7 is not there")
    with open_film(file, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(film, 7, axis=0))


def test_imaris_with_a_block_that_was_never_written(path: Path) -> None:
    file = write_imaris(path, make_film())
    with h5py.File(file, "r+") as opened:
        group = opened["DataSet/ResolutionLevel 0/TimePoint 7/Channel 0"]
        del group["Data"]
        group.create_dataset("Data", (1, 32, 32), "<u2", chunks=(1, 16, 16))[:, :16] = 1
    refuse(file, r"lacks frame 7 of 12 \(channel 0 of time point 7 .* not written to its end\)")
    with open_film(file, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(make_film(), 7, axis=0))


@pytest.mark.parametrize("options", [{}, {"chunks": (5, 8, 24)}, {"compression": "lzf"}])
def test_layouts_of_hdf5(path: Path, options: dict[str, Any]) -> None:
    file = write_hdf5(path, make_film(), **options)
    write_hdf5(path, make_film()[0], "mean")
    np.testing.assert_array_equal(read_all(file, Selection(frames=(1, 12, 3))), make_film()[1::3])


def test_hdf5_that_is_no_single_film(path: Path) -> None:
    file = write_hdf5(path, make_film(), "cell A")
    write_hdf5(path, make_film(), "cell B")
    refuse(file, r"--position 0 to 1 \(0 is /cell A, 1 is /cell B\)")
    np.testing.assert_array_equal(read_all(file, Selection(position=1)), make_film())
    file.unlink()
    refuse(write_hdf5(path, make_film()[0]), "holds no data set of three axes")
    file.unlink()
    write_hdf5(path, make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX))
    refuse(file, r"holds /data/film of \(6, 2, 20, 24\) with no names of its axes")
    file.unlink()
    write_hdf5(path, make_film()[None, :, None])
    np.testing.assert_array_equal(read_all(file), make_film())


def test_named_axes_of_hdf5(path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    file = write_hdf5(path, film)
    with h5py.File(file, "r+") as opened:
        for axis, name in enumerate(("time", "channel", "y", "x")):
            opened["data/film"].dims[axis].label = name
    np.testing.assert_array_equal(read_all(file, Selection(channel=1)), film[:, 1])


def test_pixel_size_of_hdf5(path: Path) -> None:
    file = write_hdf5(path, make_film())
    with h5py.File(file, "r+") as opened:
        opened["data/film"].attrs["element_size_um"] = [1, 0.1, 0.1]
    with open_film(file) as reader:
        assert reader.pixel_size_nm == pytest.approx(100)


def test_hdf5_that_refers_to_other_files(path: Path) -> None:
    other = write_hdf5(path, make_film())
    layout = h5py.VirtualLayout((12, 20, 24), "<u2")
    layout[:] = h5py.VirtualSource(other, "data/film", (12, 20, 24))
    with h5py.File(path.with_suffix(".hdf"), "w") as opened:
        opened.create_virtual_dataset("film", layout)
    refuse(path.with_suffix(".hdf"), "refers to other files for /film")


def test_hdf5_with_frames_that_were_never_written(path: Path) -> None:
    file = write_hdf5(path, make_film()[0], "mean")
    with h5py.File(file, "r+") as opened:
        film = opened.create_dataset("film", (12, 20, 24), "<u2", chunks=(1, 20, 24))
        film[:5], film[6:9] = make_film()[:5], make_film()[6:9]
    refuse(file, r"lacks frames 5, 9 to 11 of 12 \(blocks of /film were never written\)")
    with open_film(file, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), np.delete(make_film(), [5, 9, 10, 11], 0))


# --- FITS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">i2", ">i4", ">f8"])
def test_types_of_fits(path: Path, dtype: str) -> None:
    film = (make_film() % 5000).astype(dtype)
    np.testing.assert_array_equal(read_all(write_fits(path, film)), film)


def test_images_of_fits(path: Path) -> None:
    film, file = make_film(), path.with_suffix(".fit")
    images = [fits.PrimaryHDU(), *(fits.ImageHDU(frame) for frame in film)]
    fits.HDUList(images).writeto(file)
    np.testing.assert_array_equal(read_all(file), film)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(film), fits.ImageHDU(film)]).writeto(
        file, overwrite=True
    )
    refuse(file, r"--position 0 to 1 \(0 is image 0, 1 is image 1\)")
    fits.HDUList([fits.PrimaryHDU(film[None]), fits.ImageHDU(film[0])]).writeto(
        file, overwrite=True
    )
    np.testing.assert_array_equal(read_all(file), film)


# --- MetaMorph and Zeiss' LSM, by tifffile --------------------------------------------------


@pytest.mark.parametrize("step_um", [0, 1])
def test_planes_of_metamorph(path: Path, step_um: int) -> None:
    np.testing.assert_array_equal(read_all(write_stk(path, make_film(), step_um)), make_film())


# --- CZI ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile_px", [None, 10])
@pytest.mark.parametrize("code", CZI_CODES)
def test_compressed_and_tiled_czi(path: Path, code: str, tile_px: int | None) -> None:
    film = make_film()
    file = write_czi(path, film, code=code, tile_px=tile_px)
    np.testing.assert_array_equal(read_all(file), film)
    part = read_all(file, Selection(roi_px=(8, 2, 16, 16)))
    np.testing.assert_array_equal(part, film[:, 2:18, 8:24])


def test_axes_of_czi(path: Path) -> None:
    film = np.arange(2 * 4 * 3 * 20 * 24, dtype="<u2").reshape(2, 4, 3, 20, 24)
    refuse(write_czi(path, film, "STC"), "several .*--position 0 to 1", Selection(channel=0))
    found = read_all(write_czi(path, film, "STC"), Selection(channel=2, position=1))
    np.testing.assert_array_equal(found, film[1, :, 2])
    found = read_all(write_czi(path, film, "ZTC"), Selection(channel=2, z=1))
    np.testing.assert_array_equal(found, film[1, :, 2])


def test_czi_without_its_directory(path: Path) -> None:
    file = write_czi(path, make_film())
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"ZISRAWDIRECTORY")])
    refuse(file, r"lacks all frames from 12 on \(its directory of blocks is cut off\)")
    with open_film(file, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film())


def test_czi_that_was_stopped(path: Path) -> None:
    file = write_czi(path, make_film(), stated=40)
    refuse(file, r"lacks frames 12 to 39 of 40 \(not all of its blocks are there\)")
    with open_film(file, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film())


# --- LIF ------------------------------------------------------------------------------------


def test_axes_of_lif(path: Path) -> None:
    film = np.arange(4 * 2 * 20 * 24, dtype="<u2").reshape(4, 2, 20, 24)
    file = write_lif(path, film, "TC")
    refuse(file, r"several channels .*--channel 0 to 1")
    np.testing.assert_array_equal(read_all(file, Selection(channel=1)), film[:, 1])


def test_pixels_that_are_not_square(path: Path) -> None:
    file = write_imaris(path, make_film())
    with h5py.File(file, "r+") as opened:
        image = opened["DataSetInfo/Image"].attrs
        image["ExtMin1"], image["ExtMax1"] = characters(0), characters(4)
    with (
        open_film(file) as reader,
        pytest.raises(FilmError, match=r"100 x 200 nm .* not square"),
    ):
        reader.pixel_size()


def test_sif_of_spooled_frames(path: Path) -> None:
    file = write_sif(path, make_film()).rename(path.with_suffix(".sifx"))
    refuse(file, r"keeps its frames in other files \(.dat\); .*in Solis")


def test_positions_of_different_size(path: Path) -> None:
    film = make_film()
    file = write_hdf5(path, film, "a")
    write_hdf5(path, film[:5, :16, :18], "b", chunks=(1, 16, 18))
    write_hdf5(path, np.stack([film, film], axis=1)[:, :, None], "c")
    refuse(file, r"holds 3 films: 0 /a \(12, 20, 24\), 1 /b \(5, 16, 18\), 2 /c \(12, 2, 20, 24\)")
    np.testing.assert_array_equal(read_all(file, Selection(position=1)), film[:5, :16, :18])
    refuse(file, "several channels", Selection(position=2))
    np.testing.assert_array_equal(read_all(file, Selection(position=2, channel=1)), film)


def test_images_of_lif(path: Path) -> None:
    film, single = make_film(), make_film(1)[0]
    file = write_lif_images(path, {"overview": ("", single), "film": ("T", film)})
    np.testing.assert_array_equal(read_all(file), film)
    file = write_lif_images(path, {"one": ("T", film), "two": ("T", film[::-1].copy())})
    refuse(file, r"several positions .*--position 0 to 1")
    np.testing.assert_array_equal(read_all(file, Selection(position=1)), film[::-1])
    file = write_lif_images(path, {"one": ("T", film), "two": ("T", film[:7])})
    refuse(file, r"holds 2 films: 0 one \(12, 20, 24\), 1 two \(7, 20, 24\); .*--position 0 to 1")
    refuse(file, r"--position 0 to 1", Selection(position=2))
    np.testing.assert_array_equal(read_all(file, Selection(position=0)), film)
    found = read_all(file, Selection(position=1, frames=(1, 7), roi_px=(2, 1, 20, 18)))
    np.testing.assert_array_equal(found, film[1:7, 1:19, 2:22])
    file.write_bytes(file.read_bytes()[:-900])
    refuse(file, "lacks frame 6 of 7", Selection(position=1))
    np.testing.assert_array_equal(read_all(file, Selection(position=0)), film)


# --- memory ---------------------------------------------------------------------------------


def test_decoded_size_counts_the_blocks_of_a_frame(path: Path) -> None:
    plane_bytes = HEIGHT_PX * WIDTH_PX * 2
    with open_source(write_hdf5(path, make_film(), chunks=(COUNT, 10, 24))) as source:
        assert source.decoded_bytes >= COUNT * plane_bytes // 2
    with open_source(write_czi(path, make_film())) as source:
        assert source.decoded_bytes >= 2 * plane_bytes


@pytest.mark.parametrize("name", ["hdf5", "ims", "fits"])
def test_small_file_that_inflates(path: Path, name: str) -> None:
    if name == "fits":
        file = write_fits(path, make_film(), compressed=True, tile=(12, 20, 24))
    elif name == "ims":
        file = write_imaris(path, make_film(), (4, 512, 512))
    else:
        file = write_hdf5(path, make_film(), chunks=(COUNT, 20, 24), compression="gzip")
    needed = COUNT * HEIGHT_PX * WIDTH_PX * 2
    with pytest.raises(FilmError, match=r"takes .* of memory to read one frame, and --memory"):
        open_film(file, memory_bytes=needed)


def test_film_in_several_files(tmp_path: Path) -> None:
    film = make_film()
    for name, part in (("a", film[:5]), ("a_X2", film[5:10]), ("a_X3", film[10:])):
        write_sif(tmp_path / name, part)
    np.testing.assert_array_equal(read_all(tmp_path / "a.sif"), film)
    for name, part in (("b_0001", film[:5]), ("b_0002", film[5:10]), ("b_0003", film[10:])):
        write_spe2(tmp_path / name, part)
    with open_film(tmp_path / "b_0001.SPE") as reader:
        (note,) = reader.warnings
    assert note.startswith("b_0002.SPE and b_0003.SPE are beside b_0001.SPE and may be of the")
    chosen = Selection(pattern=note.split("'")[1])
    np.testing.assert_array_equal(read_all(tmp_path / "b_0001.SPE", chosen), film)
