"""The files that a run leaves: what stands in them, and what failures leave behind."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from fakes.image_files import PIXEL_NM, filaments, write_image, write_picture
from smlm_pipeline import atomic_files
from smlm_pipeline.errors import OutputError
from smlm_pipeline.output import facts, ome_tiff, picture, pyramid

Writer = Callable[[Path, NDArray[np.float32]], None]
both_writers = pytest.mark.parametrize("write", [write_image, write_picture])


def _ome_image(tiff: tifffile.TiffFile) -> dict[str, Any]:
    image: dict[str, Any] = tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"]
    return image


def test_values_come_back_bit_by_bit(tmp_path: Path) -> None:
    image = np.random.default_rng(0).exponential(size=(37, 53)).astype(np.float32)
    write_image(tmp_path / "image.ome.tif", image)
    read = tifffile.imread(tmp_path / "image.ome.tif")
    assert read.dtype == np.float32
    assert read.tobytes() == image.tobytes()


def test_image_that_is_not_contiguous(tmp_path: Path) -> None:
    image = np.arange(60, dtype=np.float32).reshape(6, 10)[::-2, ::3].T
    write_image(tmp_path / "image.ome.tif", image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "image.ome.tif"), image)


def test_pixel_size_stands_in_ome_and_in_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    ome_tiff.write_image(path, np.ones((8, 16), np.float32), facts.ImageFacts(13.54))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("YX", (8, 16))
        pixels = _ome_image(tiff)["Pixels"]
        tags = tiff.pages.first.tags
        resolutions = [tags[name].value for name in ("XResolution", "YResolution")]
        unit = tags["ResolutionUnit"].value
    for axis in "XY":
        assert pixels[f"PhysicalSize{axis}"] == 13.54
        assert pixels[f"PhysicalSize{axis}Unit"] == "nm"
    assert unit == tifffile.RESUNIT.CENTIMETER
    for numerator, denominator in resolutions:
        assert 1e7 * denominator / numerator == pytest.approx(13.54, rel=1e-6)


def test_provenance_is_readable_json(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    provenance = {
        "stack": Path("a <b> & 'µ'.tif"),
        "frames": np.int64(12),
        "levels_adu": np.array([[100, 20.5]], np.float32),
        "server": {"device": "cpu"},
    }
    image = np.zeros((8, 8), np.float32)
    ome_tiff.write_image(path, image, facts.ImageFacts(PIXEL_NM, provenance))
    with tifffile.TiffFile(path) as tiff:
        description = _ome_image(tiff)["Description"]
    assert json.loads(description) == {
        "value": facts.VALUE_UNIT,
        "stack": "a <b> & 'µ'.tif",
        "frames": 12,
        "levels_adu": [[100, 20.5]],
        "server": {"device": "cpu"},
    }


def test_an_image_in_bands_makes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = filaments(512, 6, 300)
    for name in ("whole", "bands"):
        write_image(tmp_path / f"{name}.tif", image)
        write_picture(tmp_path / f"{name}.png", image)
        for module in (pyramid, picture):
            monkeypatch.setattr(module, "BAND_BYTES", 4 * 512 * 5)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "bands.tif"), image)
    whole, bands = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("whole", "bands"))
    np.testing.assert_array_equal(bands, whole)


@both_writers
def test_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer
) -> None:
    bytes_before = []

    def full(descriptor: int) -> None:
        bytes_before.append(os.fstat(descriptor).st_size)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"out\.file cannot be written: the disk is full; free"):
        write(tmp_path / "out.file", np.ones((64, 64), np.float32))
    assert bytes_before[0] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write", "where", "name"),
    [(write_image, tifffile, "imwrite"), (write_picture, Image.Image, "save")],
)
def test_failing_writer_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer, where: object, name: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("262144 requested and 1000 written")

    (tmp_path / "old.file").write_text("old")
    monkeypatch.setattr(where, name, fail)
    with pytest.raises(OutputError, match="262144 requested and 1000 written; choose another"):
        write(tmp_path / "old.file", np.ones((64, 64), np.float32))
    assert [each.name for each in tmp_path.iterdir()] == ["old.file"]
    assert (tmp_path / "old.file").read_text() == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk with no room")
@both_writers
def test_disk_that_is_really_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer
) -> None:
    opened = Path.open

    def full(path: Path, mode: str) -> object:
        opened(path, mode).close()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write(tmp_path / "out.file", np.ones((64, 64), np.float32))
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt("stopped by hand")

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt, match="stopped by hand"):
        write_image(tmp_path / "out.tif", np.ones((8, 8), np.float32))
    assert not list(tmp_path.iterdir())


@both_writers
def test_missing_folder_is_refused_and_not_made(tmp_path: Path, write: Writer) -> None:
    with pytest.raises(OutputError, match="there is no such folder; create it"):
        write(tmp_path / "missing" / "out.file", np.ones((8, 8), np.float32))
    assert not list(tmp_path.iterdir())


@both_writers
def test_old_file_is_replaced_with_the_usual_rights(tmp_path: Path, write: Writer) -> None:
    target = tmp_path / "out.file"
    target.write_text("old")
    usual = target.stat().st_mode
    write(target, np.ones((8, 8), np.float32))
    assert target.stat().st_size > 64
    assert target.stat().st_mode == usual
    assert list(tmp_path.iterdir()) == [target]


def test_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    link = tmp_path / "out.tif"
    link.symlink_to(tmp_path / "data" / "real.tif")
    write_image(link, np.ones((8, 8), np.float32))
    assert link.is_symlink()
    assert tifffile.imread(tmp_path / "data" / "real.tif").shape == (8, 8)


def test_writable_target_passes_and_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old.tif").write_text("old")
    atomic_files.check_writable(tmp_path / "old.tif")
    atomic_files.check_writable(tmp_path / "new.tif")
    assert [each.name for each in tmp_path.iterdir()] == ["old.tif"]
    assert (tmp_path / "old.tif").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/out.tif", "there is no such folder"),
        ("folder", "it is a folder or a device; give the name of a file"),
        ("file/out.tif", "Not a directory; choose another target"),
        ("n" * 300, "File name too long; choose another target"),
    ],
)
def test_unwritable_target_is_refused_early(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message):
        atomic_files.check_writable(tmp_path / name)
    assert {each.name for each in tmp_path.iterdir()} == {"folder", "file"}


@pytest.mark.skipif(os.devnull != "/dev/null", reason="needs a device with a path")
def test_device_is_refused() -> None:
    with pytest.raises(OutputError, match="/dev/null cannot be written: it is a folder or a dev"):
        atomic_files.check_writable(Path(os.devnull))


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root, whom containers run as, may write anywhere
    with pytest.raises(OutputError, match="no permission; choose another folder"):
        atomic_files.check_writable(tmp_path / "out.tif")


def test_what_a_killed_program_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / ".a[1].tif.0123abcd.part"
    others = [".a[1].tif.part", ".b.a[1].tif.0123abcd.part", ".a1.tif.0123abcd.part", "a[1].tif"]
    for path in (left, *(tmp_path / name for name in others)):
        path.touch()
    atomic_files.remove_unfinished(tmp_path / "a[1].tif")
    assert {path.name for path in tmp_path.iterdir()} == set(others)
