"""Every format of a film reads back as written, and what is wrong with one is told."""

from __future__ import annotations

import builtins
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
import zarr

from fakes.format_films import (
    COUNT,
    HEIGHT_PX,
    WIDTH_PX,
    WRITERS,
    make_film,
    read_all,
    write_raw,
    zarr_array,
)
from fakes.nd2_files import write_nd2
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection

ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3
each_format = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


@each_format
def test_any_range_reads_back_as_written(tmp_path: Path, write: Callable[..., Path]) -> None:
    film = make_film()
    path = write(tmp_path / "film", film)
    with open_film(path) as reader:
        assert (reader.frame_count, reader.height_px, reader.width_px) == film.shape
        assert reader.notes == ()
        for first, last in ((0, COUNT), (3, 7), (COUNT - 1, COUNT)):
            frames = reader.read(first, last)
            assert frames.dtype == np.uint16
            assert frames.dtype.isnative
            np.testing.assert_array_equal(frames, film[first:last])
    with pytest.raises(FilmError, match="was closed; expected"):
        reader.read(0, 1)


@each_format
def test_part_of_a_film(tmp_path: Path, write: Callable[..., Path]) -> None:
    film = make_film()
    part = Selection(frames=(2, 11), roi_px=(4, 1, 18, 17))
    found = read_all(write(tmp_path / "film", film), part)
    np.testing.assert_array_equal(found, film[2:11, 1:18, 4:22])


def test_names_of_channels(tmp_path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    path = tmp_path / "film.ome.tif"
    named = {"axes": "TCYX", "Channel": {"Name": ["640 nm", "488 nm"]}}
    tifffile.imwrite(path, film, ome=True, metadata=named, photometric="minisblack")
    group = zarr.open_group(str(tmp_path / "film.zarr"), mode="w")
    zarr_array(tmp_path / "film.zarr" / "0", film)
    labels = [{"label": label} for label in ("640 nm", "488 nm")]
    group.attrs["multiscales"] = [{"axes": list("tcyx"), "datasets": [{"path": "0"}]}]
    group.attrs["omero"] = {"channels": labels}
    for each in (path, tmp_path / "film.zarr"):
        with pytest.raises(FilmError, match=r"--channel 0 to 1 \(0 is 640 nm, 1 is 488 nm\)"):
            open_film(each)
        with open_film(each, Selection(channel=1)) as reader:
            assert reader.notes == (f"channel 1 of {each.name} is 488 nm",)
            np.testing.assert_array_equal(reader.read_all(), film[:, 1])


@pytest.mark.parametrize("name", ["ndtiff", "raw", "nd2", "ome-zarr"])
def test_pixel_size(tmp_path: Path, name: str) -> None:
    with open_film(WRITERS[name](tmp_path / "film", make_film())) as reader:
        assert reader.pixel_size_nm == pytest.approx(100)


@pytest.mark.parametrize("name", ["nd2", "ndtiff", "zarr", "ome-zarr", "raw"])
def test_no_damage_escapes_as_another_error(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / "film", make_film(4))
    files = [file for file in sorted(tmp_path.rglob("*")) if file.is_file()]
    random = np.random.default_rng(7)
    for _ in range(40):
        file = files[random.integers(len(files))]
        data = file.read_bytes()
        damaged = bytearray(data)
        for offset in random.integers(0, min(len(data), 500), 3):
            damaged[offset] = random.integers(256)
            damaged[-1 - offset] = random.integers(256)
        file.write_bytes(damaged[: random.integers(1, 2 * len(data))])
        try:
            with open_film(path) as reader:
                reader.read(0, reader.frame_count)
        except FilmError as error:
            assert "expected a film of grey frames" in str(error)  # noqa: PT017 - some is harmless
        finally:
            file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("zarr", "zarr", "zarr"), ("nd2", "nd2", "nd2")]
)
def test_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    path = WRITERS[name](tmp_path / "film", make_film())
    imported = builtins.__import__

    def without(wanted: str, *rest: Any) -> Any:
        if wanted == package:
            raise ModuleNotFoundError(f"No module named {wanted!r}", name=wanted)
        return imported(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    told = rf"needs the package {package}, .*: pip install 'smlm-recon\[{extra}\]'"
    with pytest.raises(FilmError, match=told):
        open_film(path)


# --- TIFF -----------------------------------------------------------------------------------


def test_axes_of_a_hyperstack_are_chosen(tmp_path: Path) -> None:
    film = np.arange(5 * 3 * 2 * 20 * 24, dtype=np.uint16).reshape(5, 3, 2, 20, 24)
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, film, imagej=True, metadata={"axes": "TZCYX"})
    with pytest.raises(FilmError, match=r"several channels .* --channel 0 to 1"):
        open_film(path, Selection(z=1))
    np.testing.assert_array_equal(read_all(path, Selection(z=1, channel=1)), film[:, 1, 1])
    np.testing.assert_array_equal(read_all(path, Selection(z=2, channel=0)), film[:, 2, 0])


def test_imagej_stack_beyond_4_gb(tmp_path: Path) -> None:
    """One directory, a description that counts the images, and bare frames; here it is sparse."""
    edge, count = 2048, 600
    description = f"ImageJ=1.53t\nimages={count}\nframes={count}\nhyperstack=true\n\0".encode()
    first = 4096
    tags = [(256, 4, 1, edge), (257, 4, 1, edge), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(270, 2, len(description), 1024), (273, 4, 1, first), (277, 3, 1, 1)]
    tags += [(278, 4, 1, edge), (279, 4, 1, 2 * edge * edge)]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path = tmp_path / "large.tif"
    last = np.random.default_rng(0).integers(0, 1 << 16, (edge, edge), dtype=np.uint16)
    with path.open("wb") as file:
        file.write(head)
        file.seek(1024)
        file.write(description)
        file.seek(first + 2 * edge * edge * (count - 1))
        file.write(last.tobytes())
    assert path.stat().st_size > 1 << 32
    with open_film(path) as reader:
        assert reader.frame_count == count
        frames = reader.read(count - 2, count)
    assert not frames[0].any()
    np.testing.assert_array_equal(frames[1], last)


@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg2000"])
def test_compressed_by_imagecodecs(tmp_path: Path, compression: str) -> None:
    film = make_film()
    options: dict[str, Any] = {"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}
    tifffile.imwrite(tmp_path / "film.tif", film, compression=compression, **options)
    found = read_all(tmp_path / "film.tif")
    np.testing.assert_array_equal(found, film)


def test_without_imagecodecs_the_extra_is_named(tmp_path: Path) -> None:
    """In a process of its own: tifffile looks for it once."""
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, make_film(), compression="zstd", photometric="minisblack")
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from pathlib import Path; from smlm_pipeline.film.film import open_film\n"
        f"open_film(Path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "that cannot be decoded here" in last
    assert "pip install 'smlm-recon[codecs]'" in last


# --- ND2, Zarr, raw -------------------------------------------------------------------------


def test_channels_of_nd2(tmp_path: Path) -> None:
    film = make_film().reshape(6, 2, HEIGHT_PX, WIDTH_PX)
    write_nd2(tmp_path / "film.nd2", film)
    with pytest.raises(FilmError, match=r"axes TCYX, \(6, 2, 20, 24\)"):
        open_film(tmp_path / "film.nd2")
    for channel in (0, 1):
        found = read_all(tmp_path / "film.nd2", Selection(channel=channel))
        np.testing.assert_array_equal(found, film[:, channel])


@pytest.mark.parametrize("zarr_format", [2, 3] if ZARR_3 else [2])
def test_zarr_of_both_versions(tmp_path: Path, zarr_format: int) -> None:
    options = {"zarr_format": zarr_format} if ZARR_3 else {}
    zarr_array(tmp_path / "film.zarr", make_film(), **options)
    np.testing.assert_array_equal(read_all(tmp_path / "film.zarr"), make_film())


def test_axes_of_zarr_are_chosen(tmp_path: Path) -> None:
    film = np.arange(6 * 2 * 3 * 20 * 24, dtype=np.uint16).reshape(6, 2, 3, 20, 24)
    zarr_array(tmp_path / "film.zarr", film, chunks=(2, 1, 1, 20, 24))
    with pytest.raises(FilmError, match=r"several channels .*--channel 0 to 1"):
        open_film(tmp_path / "film.zarr", Selection(z=0))
    found = read_all(tmp_path / "film.zarr", Selection(channel=1, z=2))
    np.testing.assert_array_equal(found, film[:, 1, 2])


def test_zarr_that_is_no_film(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "group"), mode="w")
    for name in "ab":
        zarr_array(tmp_path / "group" / name, make_film())
    assert group is not None
    with pytest.raises(FilmError, match=r"is a Zarr group of 2 arrays \(a, b\)"):
        open_film(tmp_path / "group")
    zarr_array(tmp_path / "odd", np.zeros((2, 2, 2, 16), np.uint16))
    with pytest.raises(FilmError, match=r"shape \(2, 2, 2, 16\), not T,Y,X"):
        open_film(tmp_path / "odd")


def test_raw_without_description(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "film", make_film())
    described = path.with_suffix(".yaml")
    described.write_text("Frames: many\n")
    with pytest.raises(FilmError, match=r"is described by film.yaml wrongly"):
        open_film(path)
    described.unlink()
    with pytest.raises(FilmError, match=r"has no film.yaml beside it; .*Picasso's description"):
        open_film(path)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"Frames": -12}, "Frames is -12; expected a whole number from 1 on"),
        ({"Height": -20, "Width": -24}, "Height is -20"),  # whose product fits the file
        ({"Frames": 0}, "Frames is 0"),
        ({"Frames": "-12"}, "Frames is -12"),
        ({"Height": 20.5}, "Height is 20.5"),
        ({"Width": float("inf")}, "cannot convert float infinity to integer"),
        ({"Data Type": "object"}, "Data Type is object"),
        ({"Data Type": "V0"}, "Data Type is void"),
    ],
)
def test_raw_described_by_numbers_that_no_film_has(
    tmp_path: Path, wrong: dict[str, object], named: str
) -> None:
    path = write_raw(tmp_path / "film", make_film())
    described = path.with_suffix(".yaml")
    told = next(yaml.safe_load_all(described.read_text()))
    described.write_text(yaml.dump(told | wrong))
    with pytest.raises(FilmError, match=rf"is described by film.yaml wrongly \({named}"):
        open_film(path)


def test_raw_that_describes_more_than_any_disk_holds(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "film", make_film())
    described = path.with_suffix(".yaml")
    described.write_text(described.read_text().replace("Frames: 12", f"Frames: {2**62}"))
    with pytest.raises(FilmError, match=rf"film.yaml describes {2**62 * 20 * 24 * 2}"):
        open_film(path)


def test_raw_described_by_brackets_without_end(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "film", make_film())
    path.with_suffix(".yaml").write_text("[" * 100_000)
    with pytest.raises(FilmError, match=r"is described by film.yaml wrongly \(maximum recursion"):
        open_film(path)


def test_raw_cut_short(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "film", make_film())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FilmError, match=r"it is 11510 bytes, and film.yaml describes 11520"):
        open_film(path)
    with open_film(path, allow_partial=True) as reader:
        assert reader.missing == (range(11, 12),)
        np.testing.assert_array_equal(reader.read_all(), make_film()[:11])
    path.write_bytes(make_film(13).astype(">u2").tobytes())
    with pytest.raises(FilmError, match=r"has a header or more frames"):
        open_film(path)
