"""The files that a run leaves: what stands in them, and what failures leave behind."""

from __future__ import annotations

import errno
import itertools
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

from smlm_pipeline import render
from smlm_pipeline.errors import OutputError
from smlm_pipeline.io import ome_tiff, output

PIXEL_NM = 12.5
PROVENANCE = {"model": "reconstruction", "version": 3, "frames": 1000, "levels": [101.5, 40.25]}

Writer = Callable[[Path, NDArray[np.float32]], None]


def _ome_image(tiff: tifffile.TiffFile) -> dict[str, Any]:
    image: dict[str, Any] = tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"]
    return image


def _write_image(path: Path, image: NDArray[np.float32]) -> None:
    ome_tiff.write_image(path, image, sr_pixel_size_nm=PIXEL_NM, provenance=PROVENANCE)


def _write_picture(path: Path, image: NDArray[np.float32]) -> None:
    render.write_picture(path, image, sr_pixel_size_nm=PIXEL_NM)


both_writers = pytest.mark.parametrize("write", [_write_image, _write_picture])


def _filaments(edge_px: int, count: int, points: int) -> NDArray[np.float32]:
    """Emitters at random along wavy filaments: shape (Y, X), float32."""
    random = np.random.default_rng(7)
    along = random.uniform(0, edge_px, (count, points))
    level = random.uniform(0.1 * edge_px, 0.9 * edge_px, (count, 1))
    across = level + 20 * np.sin(2 * np.pi * along / 200 + level)
    across = np.clip(across + random.normal(0, 1, along.shape), 0, edge_px - 1)
    image = np.zeros((edge_px, edge_px), np.float32)
    np.add.at(image, (across.astype(int), along.astype(int)), np.float32(0.7))
    return image


def _picture(
    path: Path, image: NDArray[np.float32], pixel_nm: float = PIXEL_NM
) -> NDArray[np.int64]:
    """Write a picture and read it: shape (Y, X, 3), red, green, blue."""
    render.write_picture(path, image, sr_pixel_size_nm=pixel_nm)
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture).astype(np.int64)


def _bar_px(colours: NDArray[np.int64]) -> int:
    """Length of the longest run of white in the lower right corner."""
    height, width, _ = colours.shape
    white = (colours[height * 3 // 4 :, width // 2 :] == 255).all(axis=2)
    runs = (len(list(run)) for row in white for lit, run in itertools.groupby(row) if lit)
    return max(runs, default=0)


def test_values_come_back_bit_by_bit(tmp_path: Path) -> None:
    image = np.random.default_rng(0).exponential(size=(37, 53)).astype(np.float32)
    _write_image(tmp_path / "image.ome.tif", image)
    read = tifffile.imread(tmp_path / "image.ome.tif")
    assert read.dtype == np.float32
    assert read.tobytes() == image.tobytes()


def test_image_that_is_not_contiguous(tmp_path: Path) -> None:
    image = np.arange(60, dtype=np.float32).reshape(6, 10)[::-2, ::3].T
    _write_image(tmp_path / "image.ome.tif", image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "image.ome.tif"), image)


def test_pixel_size_stands_in_ome_and_in_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    ome_tiff.write_image(path, np.ones((8, 16), np.float32), sr_pixel_size_nm=13.54, provenance={})
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
    ome_tiff.write_image(path, image, sr_pixel_size_nm=PIXEL_NM, provenance=provenance)
    with tifffile.TiffFile(path) as tiff:
        description = _ome_image(tiff)["Description"]
    assert json.loads(description) == {
        "value": ome_tiff.VALUE_UNIT,
        "stack": "a <b> & 'µ'.tif",
        "frames": 12,
        "levels_adu": [[100, 20.5]],
        "server": {"device": "cpu"},
    }


@pytest.mark.parametrize(
    ("edge_px", "pixel_nm", "picture_px", "bar_px"),
    [
        (512, 12.5, 512, 80),  # 1 um of 6.4
        (128, 12.5, 512, 64),  # 200 nm of 1.6 um, 4 times enlarged
        (300, 10.0, 600, 100),  # 500 nm of 3 um, twice enlarged
        (1000, 13.54, 1000, 148),  # 2 um of 13.54
    ],
)
def test_scale_bar_has_the_length_that_its_label_says(
    tmp_path: Path, edge_px: int, pixel_nm: float, picture_px: int, bar_px: int
) -> None:
    colours = _picture(tmp_path / "picture.png", np.zeros((edge_px, edge_px), np.float32), pixel_nm)
    assert colours.shape == (picture_px, picture_px, 3)
    assert _bar_px(colours) == bar_px


@pytest.mark.parametrize(
    ("width_nm", "length_nm"),
    [(6400, 1000), (1600, 200), (12.5, 2), (2400, 500), (45000, 10000), (38000, 10000), (35, 5)],
)
def test_bar_length_is_round(width_nm: float, length_nm: float) -> None:
    assert render._bar_length_nm(width_nm) == pytest.approx(length_nm)


def test_bar_is_outlined_on_white(tmp_path: Path) -> None:
    colours = _picture(tmp_path / "picture.png", np.ones((512, 512), np.float32))
    black = (colours == 0).all(axis=2)
    assert black[384:, 256:].any(axis=0).sum() > 80
    assert (colours[:384] == 255).all()


def test_all_zero_is_black(tmp_path: Path) -> None:
    colours = _picture(tmp_path / "picture.png", np.zeros((512, 512), np.float32))
    assert not colours[:384].any()
    assert not colours[:, :256].any()


def test_more_emitters_are_never_darker(tmp_path: Path) -> None:
    image = np.zeros((512, 512), np.float32)
    centres = np.arange(16, 512, 32)
    image[100, centres] = np.arange(1, len(centres) + 1)
    colours = _picture(tmp_path / "picture.png", image)
    brightness = colours[100, centres].sum(axis=1)
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] > 0
    assert brightness[-1] == 3 * 255


def test_colours_run_from_black_over_red_and_yellow_to_white() -> None:
    hot = render._hot().astype(int)
    assert hot[[0, 96, 191, 255]].tolist() == [
        [0, 0, 0],
        [255, 1, 0],
        [255, 254, 0],
        [255, 255, 255],
    ]
    assert (np.diff(hot.sum(axis=1)) > 0).all()


@pytest.mark.parametrize(
    ("edge_px", "count", "points"), [(512, 10, 4000), (512, 6, 300), (128, 3, 60)]
)
def test_filaments_show_and_the_ground_stays_black(
    tmp_path: Path, edge_px: int, count: int, points: int
) -> None:
    image = _filaments(edge_px, count, points)
    zoom = 512 // edge_px
    colours = _picture(tmp_path / "picture.png", image)[::zoom, ::zoom].sum(axis=2)
    corner = np.zeros(image.shape, bool)
    corner[edge_px * 3 // 4 :, edge_px // 2 :] = True
    lit = (image > 0) & ~corner
    assert np.median(colours[lit]) > 200  # well beyond dark red
    assert (colours[lit] == 3 * 255).mean() < 0.2
    assert np.median(colours[~lit & ~corner]) == 0


def test_a_bead_does_not_darken_the_rest() -> None:
    image = _filaments(512, 10, 4000)
    beaded = image.copy()
    beaded[250:254, 250:254] += 300
    plain, with_bead = (render._grey(render._smoothed(each)) for each in (image, beaded))
    far = np.s_[:200]
    assert with_bead[far].mean() > 0.8 * plain[far].mean()


def test_the_view_is_smoothed_evenly() -> None:
    image = np.zeros((21, 21), np.float32)
    image[10, 8] = 1
    smoothed = render._smoothed(image)
    assert smoothed.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(smoothed[2:19, 8], smoothed[10, :17], rtol=1e-5, atol=0)
    np.testing.assert_allclose(render._smoothed(np.ones_like(image)), 1, rtol=1e-5)


def test_binning_takes_the_mean_also_at_partial_edges() -> None:
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    binned = render._binned(image, 3)
    expected = [[image[y : y + 3, x : x + 3].mean() for x in (0, 3, 6)] for y in (0, 3)]
    assert binned.dtype == np.float32
    np.testing.assert_allclose(binned, expected, rtol=1e-6)


def test_huge_image_is_binned_down(tmp_path: Path) -> None:
    image = np.zeros((600, 9001), np.float32)
    colours = _picture(tmp_path / "picture.png", image, pixel_nm=10)
    assert colours.shape == (300, 4501, 3)
    assert _bar_px(colours) == 1000  # 20 um of 90, in pixels of 20 nm


@pytest.mark.parametrize("shape", [(1, 1), (300, 700), (2000, 300)])
def test_odd_shapes_make_a_picture(tmp_path: Path, shape: tuple[int, int]) -> None:
    height, width, _ = _picture(tmp_path / "picture.png", np.ones(shape, np.float32)).shape
    assert height * shape[1] == width * shape[0]
    assert max(height, width) <= render.PICTURE_EDGE_MAX_PX


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((128, 20000), (160, 20000)),  # 16 x 2500 camera pixels at zoom 8
        ((20000, 128), (20000, 160)),
        ((600, 20000), (300, 10000)),
        ((3, 700), (160, 700)),
        ((128, 70000), (160, 23334)),
    ],
)
def test_a_strip_keeps_its_width_and_has_room_for_the_label(
    tmp_path: Path, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.zeros(shape, np.float32)
    image[1, ::10] = 1
    colours = _picture(tmp_path / "picture.png", image)
    assert colours.shape == (*size, 3)
    assert (colours[:4, :64].sum(axis=2) > 200).any(), "the field shows in its corner"
    height, width = size
    label = (colours[height * 3 // 4 :, width // 2 :] == 255).all(axis=2)
    assert label.sum() > 100, "scale bar and label are there"


def test_an_image_in_bands_makes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _filaments(512, 6, 300)
    for name in ("whole", "bands"):
        _write_image(tmp_path / f"{name}.tif", image)
        _write_picture(tmp_path / f"{name}.png", image)
        for module in (ome_tiff, render):
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
    [(_write_image, tifffile, "imwrite"), (_write_picture, Image.Image, "save")],
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
        _write_image(tmp_path / "out.tif", np.ones((8, 8), np.float32))
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
    _write_image(link, np.ones((8, 8), np.float32))
    assert link.is_symlink()
    assert tifffile.imread(tmp_path / "data" / "real.tif").shape == (8, 8)


def test_writable_target_passes_and_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old.tif").write_text("old")
    output.check_writable(tmp_path / "old.tif")
    output.check_writable(tmp_path / "new.tif")
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
        output.check_writable(tmp_path / name)
    assert {each.name for each in tmp_path.iterdir()} == {"folder", "file"}


@pytest.mark.skipif(os.devnull != "/dev/null", reason="needs a device with a path")
def test_device_is_refused() -> None:
    with pytest.raises(OutputError, match="/dev/null cannot be written: it is a folder or a dev"):
        output.check_writable(Path(os.devnull))


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root, whom containers run as, may write anywhere
    with pytest.raises(OutputError, match="no permission; choose another folder"):
        output.check_writable(tmp_path / "out.tif")
