"""Files that are no film are refused, each with its reason and a remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fakes.tiff_films import COUNT, HEIGHT_PX, WIDTH_PX, make_film, refuse
from smlm_pipeline.contract import MIN_FRAME_PX
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.tif"


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
    with open_film(path, Selection(time_axis="C")) as reader:
        np.testing.assert_array_equal(reader.read(0, COUNT), make_film())


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


def test_frames_below_the_minimum(path: Path) -> None:
    edge = MIN_FRAME_PX
    tifffile.imwrite(path, make_film()[:, :edge, :edge])
    with open_film(path) as reader:
        assert reader.height_px == reader.width_px == edge
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
