"""Films that are cut short or damaged are refused, when they are opened or when they are read."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.tiff_films import (
    BLOCK_WRITERS,
    COUNT,
    HEIGHT_PX,
    WIDTH_PX,
    WRITERS,
    Writer,
    each_writer,
    make_film,
    patch,
    refuse,
    writer,
)
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.tif"


@pytest.mark.parametrize("filled", [False, True], ids=["cut", "zeros"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@each_writer
def test_cut_short(path: Path, write: Writer, share: float, filled: bool) -> None:
    """Refused, unless the lists of pages alone are lost; what is there can be had.

    Some programs reserve the whole file before they copy: its end is zeros then.
    """
    film = make_film()
    write(path, film)
    data = path.read_bytes()
    kept = data[: int(len(data) * share)]
    path.write_bytes(kept.ljust(len(data), b"\0") if filled else kept)
    try:
        with open_film(path) as reader:
            (warning,) = reader.warnings
            assert warning.startswith("film.tif has all frames, but it ")
            np.testing.assert_array_equal(reader.read_all(), film)
    except FilmError:
        refuse(path, "is cut short|it ends in zeros")
        if share > 0.5:
            with open_film(path, allow_partial=True) as reader:
                count = reader.frame_count
                assert 5 <= count <= COUNT
                assert reader.warnings[0].startswith("film.tif lacks ")
                np.testing.assert_array_equal(reader.read_all(), film[:count])
            with open_film(path, Selection(frames=(0, count))) as reader:
                np.testing.assert_array_equal(reader.read_all(), film[:count])


def test_black_frames_and_borders(path: Path) -> None:
    """A black border is no end of a copy; black frames at the end are taken for one."""
    film = make_film()
    film[:, -5:] = 0
    tifffile.imwrite(path, film)
    with open_film(path) as reader:
        assert not reader.warnings
        np.testing.assert_array_equal(reader.read_all(), film)
    film[10:] = 0
    tifffile.imwrite(path, film, truncate=True)
    refuse(path, "lacks frames 10 to 11 of 12 .it ends in zeros, as a copy that was interrupted")
    with open_film(path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), film[:10])


def test_cut_short_with_its_description(path: Path) -> None:
    """The OME description, at the end of the file, told how many channels there are."""
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    tifffile.imwrite(path, film, ome=True, metadata={"axes": "TCYX"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refuse(path, "its description is lost: frames of channels would be mixed")


@pytest.mark.parametrize("name", ["plain", "frame by frame", "zlib", "pages without description"])
def test_list_of_frames_that_breaks_off(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    with tifffile.TiffFile(path) as tif:
        ends_at = tif.pages.next_page_offset
    assert ends_at is not None
    data = bytearray(path.read_bytes())
    data[ends_at : ends_at + 4] = (len(data) + 100).to_bytes(4, "little")
    path.write_bytes(data)
    refuse(path, r"lacks all frames from 12 on \(it is cut short\)")


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
    refuse(path, "lacks frames 12 to 98 of 99")
    with open_film(path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film())


@pytest.mark.parametrize("name", ["OME", "OME zlib"])
def test_ome_promises_more_frames_than_there_are(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    patch(path, b'SizeT="12"', b'SizeT="99"')
    message = refuse(path, "lacks frames 12 to 98 of 99")
    assert "its OME description states 99 planes, the file has 12" in message
    assert message.endswith("with --allow-partial or the first ones with --frames :12")
    with open_film(path, Selection(frames=(3, 12))) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film()[3:])


@pytest.mark.parametrize("name", ["ImageJ frames", "OME"])
def test_metadata_that_would_drop_frames(path: Path, name: str) -> None:
    WRITERS[name](path, make_film())
    old, new = (b'SizeT="12"', b'SizeT="07"') if name == "OME" else (b"=12\n", b"=07\n")
    patch(path, old, new)
    message = refuse(path, "holds 12 frames and its description counts 7")
    assert message.endswith("all of them with --allow-partial or some with --frames, as :12")
    for options in ({"allow_partial": True}, {"selection": Selection(frames=(0, 12))}):
        with open_film(path, **options) as reader:
            np.testing.assert_array_equal(reader.read_all(), make_film())
            assert "its description counts 7" in reader.warnings[0]


def test_shape_that_promises_more_frames_than_there_are(path: Path) -> None:
    tifffile.imwrite(path, make_film(), truncate=True)
    patch(path, b'"shape": [12,', b'"shape": [99,')
    refuse(path, "lacks frames 12 to 98 of 99")


def test_page_that_points_outside_the_file(path: Path) -> None:
    tifffile.imwrite(path, make_film(), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[7].aspage().tags["StripOffsets"].overwrite(1 << 30)
    refuse(path, "lacks frame 7 of 12")
    with open_film(path, allow_partial=True) as reader:
        assert reader.missing == (range(7, 8),)
        np.testing.assert_array_equal(reader.read_all(), np.delete(make_film(), 7, axis=0))


@each_writer
def test_file_that_shrinks_while_open(path: Path, write: Writer) -> None:
    write(path, make_film())
    with open_film(path) as reader:
        os.truncate(path, path.stat().st_size // 4)
        with pytest.raises(FilmError, match="is cut short or damaged in frames 9 to 11;"):
            reader.read(9, 12)


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
    with open_film(path) as reader:
        np.testing.assert_array_equal(reader.read(0, 7), film[:7])
        with pytest.raises(FilmError, match="is cut short or damaged in frames 6 to 8;"):
            reader.read(6, 9)


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
            with open_film(path) as reader:
                reader.read(0, reader.frame_count)
        except FilmError as error:
            assert str(path) in str(error)  # noqa: PT017 - some damage is harmless


def test_tifffile_is_silent_for_us_only(
    path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    BLOCK_WRITERS["ImageJ frames"](path, make_film())
    patch(path, b"=12\n", b"=99\n")
    refuse(path, "lacks frames 12 to 98")
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
