"""Opening films: every layout reads back as written, every bad file is refused with a reason."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.contract import MIN_FRAME_PX
from smlm_pipeline.errors import StackError
from smlm_pipeline.io.selection import Selection
from smlm_pipeline.stack import open_stack

COUNT, HEIGHT_PX, WIDTH_PX = 12, 20, 24
Film = NDArray[np.uint16]
Writer = Callable[[Path, Film], None]


def make_film(count: int = COUNT) -> Film:
    random = np.random.default_rng(count)
    return random.integers(0, 1 << 16, (count, HEIGHT_PX, WIDTH_PX), dtype=np.uint16)


def writer(**options: Any) -> Writer:
    def write(path: Path, film: Film) -> None:
        tifffile.imwrite(path, film, photometric="minisblack", **options)

    return write


def by_blocks(frames_per_block: int, **options: Any) -> Writer:
    def write(path: Path, film: Film) -> None:
        with tifffile.TiffWriter(path) as tif:
            for first in range(0, len(film), frames_per_block):
                block = film[first : first + frames_per_block].squeeze()
                tif.write(block, photometric="minisblack", **options)

    return write


BLOCK_WRITERS: dict[str, Writer] = {
    "plain": writer(),
    "bigtiff": writer(bigtiff=True),
    "big-endian": writer(byteorder=">"),
    "one page for all": writer(truncate=True),
    "ImageJ frames": writer(imagej=True, metadata={"axes": "TYX"}),
    "ImageJ slices": writer(imagej=True, metadata={"axes": "ZYX"}),
    "ImageJ one page for all": writer(imagej=True, metadata={"axes": "TYX"}, truncate=True),
    "OME": writer(ome=True, metadata={"axes": "TYX"}),
}
PAGE_WRITERS: dict[str, Writer] = {
    "frame by frame": by_blocks(1),
    "block by block": by_blocks(4),
    "pages without description": by_blocks(1, metadata=None),
    "zlib": writer(compression="zlib"),
    "zlib, predictor, strips": writer(compression="zlib", predictor=True, rowsperstrip=7),
    "zlib tiles": writer(compression="zlib", tile=(16, 16)),
    "big-endian lzma": writer(compression="lzma", byteorder=">"),
    "OME zlib": writer(ome=True, metadata={"axes": "TYX"}, compression="zlib"),
}
WRITERS = BLOCK_WRITERS | PAGE_WRITERS
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.tif"


def patch(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


@each_writer
def test_any_range_reads_back_as_written(path: Path, write: Writer) -> None:
    film = make_film()
    write(path, film)
    with open_stack(path) as stack:
        assert (stack.frame_count, stack.height_px, stack.width_px) == film.shape
        assert stack.path == path
        for first, last in ((0, COUNT), (0, 1), (3, 7), (COUNT - 1, COUNT), (2, 4)):
            frames = stack.read(first, last)
            assert frames.dtype == np.uint16
            assert frames.dtype.isnative
            np.testing.assert_array_equal(frames, film[first:last])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["block", "zlib"])
def test_uint8_becomes_uint16(path: Path, options: dict[str, Any]) -> None:
    film = make_film().astype(np.uint8)
    tifffile.imwrite(path, film, **options)
    with open_stack(path) as stack:
        assert stack.read(1, 3).dtype == np.uint16
        np.testing.assert_array_equal(stack.read(0, COUNT), film)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_axes_of_length_one_do_not_count(path: Path, axis: int) -> None:
    film = make_film()
    tifffile.imwrite(path, np.expand_dims(film, axis), photometric="minisblack")
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, COUNT), film)


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
    with open_stack(first) as stack:
        np.testing.assert_array_equal(stack.read(0, COUNT), film)
        np.testing.assert_array_equal(stack.read(5, 8), film[5:8])
    second.unlink()
    with pytest.raises(StackError, match="lacks some of the 12 frames stated"):
        open_stack(first)


@pytest.mark.parametrize("write", BLOCK_WRITERS.values(), ids=BLOCK_WRITERS.keys())
def test_block_maps_only_what_is_asked(
    path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, make_film())
    with open_stack(path) as stack:
        shapes: list[object] = []
        mapped = tifffile.FileHandle.memmap_array

        def memmap_array(file: tifffile.FileHandle, *args: Any) -> NDArray[Any]:
            shapes.append(args[1])
            return mapped(file, *args)

        monkeypatch.setattr(tifffile.FileHandle, "memmap_array", memmap_array)
        frames = stack.read(3, 6)
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
    with open_stack(path) as stack:
        assert decoded == [0]
        np.testing.assert_array_equal(stack.read(200, 203), film[200:203])
    assert sorted(decoded) == [0, 200, 201, 202]


@pytest.mark.parametrize("first_last", [(-1, 2), (3, 3), (4, 2), (0, COUNT + 1)])
def test_range_outside_the_film_is_refused(path: Path, first_last: tuple[int, int]) -> None:
    tifffile.imwrite(path, make_film())
    with open_stack(path) as stack, pytest.raises(StackError, match="has frames 0 to 11, not"):
        stack.read(*first_last)


@each_writer
def test_closed_after_its_block(path: Path, write: Writer) -> None:
    write(path, make_film())
    with open_stack(path) as stack:
        frames = stack.read(0, 2)
    np.testing.assert_array_equal(frames, make_film()[:2])
    with pytest.raises(StackError, match="was closed"):
        stack.read(0, 2)


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
    with open_stack(path) as stack:
        assert stack.pixel_size_nm == (None if expected_nm is None else pytest.approx(expected_nm))


def test_micro_sign_of_old_imagej(path: Path) -> None:
    tifffile.imwrite(path, make_film(), **imagej("um", 8.0))
    patch(path, b"unit=um", b"unit=\xb5m")
    with open_stack(path) as stack:
        assert stack.pixel_size_nm == pytest.approx(125.0)


def refuse(path: Path, reason: str) -> str:
    """Open a bad film; its message names the file, the expectation and a remedy."""
    with pytest.raises(StackError, match=reason) as caught:
        open_stack(path)
    message = str(caught.value)
    assert re.fullmatch(re.escape(str(path)) + r" [^\n]+; expected [^\n]+: [^\n]+", message)
    return message


def test_no_such_file(path: Path) -> None:
    refuse(path, "does not exist")


def test_folder_without_a_film(tmp_path: Path) -> None:
    refuse(tmp_path, "is a folder without a film")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    refuse(path, "is a device or pipe")


def test_empty_file(path: Path) -> None:
    path.touch()
    refuse(path, r"is empty \(0 bytes\)")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"II", b"III*", b"not a film at all"])
def test_other_format(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refuse(path, "is not a TIFF file")


def test_permission_denied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(path, make_film())

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "check its permissions" in refuse(path, r"cannot be read \(Permission denied\)")


def test_no_frames(path: Path) -> None:
    path.write_bytes(b"II*\0" + bytes(4))
    refuse(path, "holds no frames")


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}])
def test_one_frame(path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(path, make_film(1)[0], **options)
    refuse(path, "holds one frame; a film needs at least 2")


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"imagej": True}])
def test_colour(path: Path, channels: int, options: dict[str, Any]) -> None:
    colour = np.stack([make_film().astype(np.uint8)] * channels, axis=-1)
    tifffile.imwrite(path, colour, photometric="rgb", **options)
    refuse(path, r"is a colour \(RGB\) image")


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_several_channels(path: Path, options: dict[str, Any]) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    tifffile.imwrite(path, film, metadata={"axes": "TCYX"}, **options)
    refuse(path, r"has several channels \(axes TCYX, \(6, 2, 20, 24\)\)")


def test_frames_called_channels_are_explained(path: Path) -> None:
    tifffile.imwrite(path, make_film(), imagej=True)
    assert "if they are frames, --time-axis C" in refuse(path, "has several channels")
    with open_stack(path, Selection(time_axis="C")) as stack:
        np.testing.assert_array_equal(stack.read(0, COUNT), make_film())


def test_two_axes_of_frames(path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    tifffile.imwrite(path, film, imagej=True, metadata={"axes": "TZYX"})
    message = refuse(path, r"has several planes in z \(axes TZYX, \(6, 2, 20, 24\)\)")
    assert message.endswith("choose one with --z 0 to 1")


def test_separate_images(path: Path) -> None:
    with tifffile.TiffWriter(path) as tif:
        tif.write(make_film(), metadata=None)
        tif.write(make_film(2)[:, :16, :16], metadata=None)
    refuse(path, "holds 2 separate images")


def test_preview_does_not_count(path: Path) -> None:
    film = make_film()
    with tifffile.TiffWriter(path) as tif:
        tif.write(film, metadata=None)
        tif.write(film[0, :16, :16], metadata=None, subfiletype=1)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, COUNT), film)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float(path: Path, dtype: str) -> None:
    film = make_film() // 256
    tifffile.imwrite(path, film.astype(dtype))
    with open_stack(path) as stack:
        assert stack.notes == (f"film.tif holds {dtype} values; taken as whole counts",)
        np.testing.assert_array_equal(stack.read(0, COUNT), film)


def test_fractions_are_rescaled_and_said_so(path: Path) -> None:
    film = (make_film() / 7 - 1000).astype(np.float32)
    tifffile.imwrite(path, film)
    with open_stack(path) as stack:
        (note,) = stack.notes
        counts = stack.read(0, COUNT)
    found = re.search(r"rescaled to 16 bits: count = \(value - (\S+)\) \* (\S+)$", note)
    assert found
    zero, factor = float(found[1]), float(found[2])
    np.testing.assert_allclose(counts / factor + zero, film, atol=0.6 / factor, rtol=1e-5)
    assert counts.min() > 1000


def test_damage_in_later_frames_of_numbers(path: Path) -> None:
    """A sample is looked at when the film is opened; what it misses is found when it is read."""
    film = np.zeros((200, 16, 16), np.float32)
    film += np.random.default_rng(0).uniform(0, 1, film.shape).astype(np.float32)
    film[1, 3, 4] = np.inf
    tifffile.imwrite(path, film)
    with open_stack(path) as stack:
        stack.read(0, 1)
        with pytest.raises(StackError, match=r"NaN or infinite \(frame 1\)"):
            stack.read(0, 4)


def test_nan_in_the_first_frame_is_named(path: Path) -> None:
    film = make_film().astype(np.float32)
    film[0, 3, 4] = np.nan
    tifffile.imwrite(path, film)
    refuse(path, r"holds float32 values, some of them NaN or infinite \(frame 0\);")


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "int64"])
def test_other_whole_numbers_are_counts_if_they_fit(path: Path, dtype: str) -> None:
    film = make_film() // 2
    tifffile.imwrite(path, film.astype(dtype), photometric="minisblack")
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, COUNT), film)
    tifffile.imwrite(path, film.astype(dtype) - 1000, photometric="minisblack")
    with open_stack(path) as stack:
        assert "rescaled" in stack.notes[0]


@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_other_types(path: Path, dtype: str) -> None:
    tifffile.imwrite(path, make_film().astype(dtype))
    refuse(path, f"holds {dtype} values;")


def test_frames_below_the_minimum(path: Path) -> None:
    edge = MIN_FRAME_PX
    tifffile.imwrite(path, make_film()[:, :edge, :edge])
    with open_stack(path) as stack:
        assert stack.height_px == stack.width_px == edge
    tifffile.imwrite(path, make_film()[:, :edge, : edge - 1])
    refuse(path, f"has frames of {edge} x {edge - 1} pixels")


def test_unknown_compression_names_what_to_install(path: Path) -> None:
    tifffile.imwrite(path, make_film(), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for page in tif.pages:
            page.aspage().tags["Compression"].overwrite(40000)
    assert "pip install 'smlm-recon[codecs]'" in refuse(path, "cannot be decoded here")


def test_packed_values_name_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(path, make_film(), compression="zlib")

    def asarray(*_: object, **__: object) -> None:
        raise NotImplementedError("unpack 12-bit integers requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", asarray)
    assert "pip install 'smlm-recon[codecs]'" in refuse(path, "cannot be decoded here")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@each_writer
def test_cut_short(path: Path, write: Writer, share: float) -> None:
    write(path, make_film())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refuse(path, "is cut short")


@pytest.mark.parametrize("name", ["plain", "frame by frame", "zlib", "pages without description"])
def test_list_of_frames_that_breaks_off(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    with tifffile.TiffFile(path) as tif:
        ends_at = tif.pages.next_page_offset
    assert ends_at is not None
    data = bytearray(path.read_bytes())
    data[ends_at : ends_at + 4] = (len(data) + 100).to_bytes(4, "little")
    path.write_bytes(data)
    refuse(path, "is cut short after 12 frames")


@pytest.mark.parametrize(
    "write",
    [
        BLOCK_WRITERS["ImageJ frames"],
        BLOCK_WRITERS["ImageJ slices"],
        BLOCK_WRITERS["ImageJ one page for all"],
        writer(imagej=True, metadata={"axes": "TYX"}, compression="zlib"),
    ],
    ids=["frames", "slices", "one page for all", "zlib"],
)
def test_imagej_promises_more_frames_than_there_are(path: Path, write: Writer) -> None:
    write(path, make_film())
    patch(path, b"=12\n", b"=99\n")
    refuse(path, "lacks some of the 99 frames stated")


@pytest.mark.parametrize("name", ["OME", "OME zlib"])
def test_ome_promises_more_frames_than_there_are(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    patch(path, b'SizeT="12"', b'SizeT="99"')
    refuse(path, "lacks some of the 99 frames stated")


@pytest.mark.parametrize("name", ["ImageJ frames", "OME"])
def test_metadata_that_would_drop_frames(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    old, new = (b'SizeT="12"', b'SizeT="07"') if name == "OME" else (b"=12\n", b"=07\n")
    patch(path, old, new)
    refuse(path, "holds 12 frames and its description counts 7")


def test_shape_that_promises_more_frames_than_there_are(path: Path) -> None:
    tifffile.imwrite(path, make_film(), truncate=True)
    patch(path, b'"shape": [12,', b'"shape": [99,')
    refuse(path, "lacks some of the 99 frames stated")


def test_page_that_points_outside_the_file(path: Path) -> None:
    tifffile.imwrite(path, make_film(), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[7].aspage().tags["StripOffsets"].overwrite(1 << 30)
    refuse(path, "lacks some of the 12 frames stated")


@each_writer
def test_file_that_shrinks_while_open(path: Path, write: Writer) -> None:
    write(path, make_film())
    with open_stack(path) as stack:
        os.truncate(path, path.stat().st_size // 4)
        with pytest.raises(StackError, match="is cut short or damaged in frames 9 to 11;"):
            stack.read(9, 12)


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_damaged_compressed_frame(path: Path, compression: str) -> None:
    film = np.broadcast_to(make_film(1) // 4096, (COUNT, HEIGHT_PX, WIDTH_PX))
    tifffile.imwrite(path, film, compression=compression)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[7]
        start, size = page.dataoffsets[0], page.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start + 2 : start + size] = bytes(size - 2)
    path.write_bytes(data)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 7), film[:7])
        with pytest.raises(StackError, match="is cut short or damaged in frames 6 to 8;"):
            stack.read(6, 9)


@each_writer
def test_no_damage_escapes_as_another_error(path: Path, write: Writer) -> None:
    write(path, make_film(4))
    data, random = path.read_bytes(), np.random.default_rng(7)
    for _ in range(30):
        damaged = bytearray(data)
        for offset in random.integers(0, min(len(data), 500), 3):
            damaged[offset] = random.integers(256)
            damaged[-1 - offset] = random.integers(256)
        path.write_bytes(damaged)
        try:
            with open_stack(path) as stack:
                stack.read(0, stack.frame_count)
        except StackError as error:
            assert str(path) in str(error)  # noqa: PT017 - some damage is harmless


def test_tifffile_is_silent_for_us_only(
    path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    BLOCK_WRITERS["ImageJ frames"](path, make_film())
    patch(path, b"=12\n", b"=99\n")
    refuse(path, "is cut short")
    assert not caplog.records
    assert capsys.readouterr() == ("", "")
    with tifffile.TiffFile(path) as tif:
        assert tif.series
    assert caplog.records
    assert not logging.getLogger("tifffile").filters


def test_stack_error_closes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tifffile.FileHandle] = []
    init = tifffile.FileHandle.open

    def remembered(file: tifffile.FileHandle) -> None:
        opened.append(file)
        init(file)

    monkeypatch.setattr(tifffile.FileHandle, "open", remembered)
    tifffile.imwrite(path, make_film().astype(np.complex64), compression="zlib")
    opened.clear()
    refuse(path, "holds complex64")
    assert opened
    assert all(file.closed for file in opened)
