"""The pixel size is found where programs write it; doubtful sizes are refused or asked about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from fakes.format_films import make_film, write_folder, write_raw, zarr_array
from fakes.tiff_films import writer
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import open_film

Y2X = {"PhysicalSizeX": 0.108, "PhysicalSizeY": 0.216}


def ome(**stated: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "film.ome.tif"
        writer(ome=True, metadata={"axes": "TYX", **stated})(path, make_film())
        return path

    return write


def imagej(unit: str | None, size: float, code: int = 1) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "film.tif"
        metadata = {"axes": "TYX"} | ({"unit": unit} if unit else {})
        writer(
            imagej=True, resolution=(1 / size, 1 / size), resolutionunit=code, metadata=metadata
        )(path, make_film())
        return path

    return write


def manager(plane: dict[str, Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "film.tif"
        tag = (51123, "s", 0, json.dumps(plane), True)
        writer(extratags=[tag], metadata=None)(path, make_film())
        return path

    return write


def folder_of(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "film"
        path.mkdir()
        for index, frame in enumerate(make_film()):
            tifffile.imwrite(path / f"img_{index:03}.tif", frame, **options)
        return path

    return write


def folder_with_metadata(folder: Path) -> Path:
    path = write_folder(folder / "film", make_film())
    text = json.dumps({"Summary": {"PixelSize_um": 0.108, "Frames": 12}})
    (path / "metadata.txt").write_text(text[:-1] + ', "FrameKey-0-0-0": {')  # as after a crash
    return path


def picasso(**keys: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_raw(folder / "film", make_film())
        described = list(yaml.safe_load_all(path.with_suffix(".yaml").read_text()))
        del described[0]["Pixelsize"]
        described[0] |= keys
        path.with_suffix(".yaml").write_text(yaml.dump_all(described))
        return path

    return write


def ngff(dataset: list[float], image: list[float] | None, unit: str | None) -> Any:
    def write(folder: Path) -> Path:
        path = folder / "film.zarr"
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(str(path), mode="w")
        zarr_array(path / "0", make_film(), chunks=(5, 20, 24))
        axes = [
            {"name": name, "type": "space"} | ({"unit": unit} if unit else {}) for name in "tyx"
        ]
        scale = {"coordinateTransformations": [{"type": "scale", "scale": dataset}]}
        multiscale: dict[str, Any] = {"axes": axes, "datasets": [{"path": "0", **scale}]}
        if image is not None:
            multiscale["coordinateTransformations"] = [{"type": "scale", "scale": image}]
        group.attrs["multiscales"] = [multiscale]
        return path

    return write


STATED: dict[str, tuple[Callable[[Path], Path], float]] = {
    "OME": (ome(PhysicalSizeX=0.108, PhysicalSizeY=0.108), 108),
    "OME, X alone": (ome(PhysicalSizeX=0.108), 108),
    "OME, angstrom": (ome(PhysicalSizeX=1080, PhysicalSizeXUnit="\u00c5"), 108),
    "OME, nm": (ome(PhysicalSizeX=108, PhysicalSizeXUnit="nm"), 108),
    "OME, mm": (ome(PhysicalSizeX=0.000108, PhysicalSizeXUnit="mm"), 108),
    "ImageJ, micron": (imagej("micron", 0.108), 108),
    "ImageJ, escaped": (imagej("\\u00B5m", 0.108), 108),
    "ImageJ, nm": (imagej("nm", 108), 108),
    "resolution per cm": (imagej(None, 1.08e-5, 3), 108),
    "MM, plane": (manager({"PixelSizeUm": 0.108}), 108),
    "MM, text": (manager({"PixelSizeUm": "0.108"}), 108),
    "MM, custom key": (manager({"UserData": {"PixelSize_um": {"PropVal": "0.108"}}}), 108),
    "MM, affine": (
        manager({"PixelSizeUm": 1.0, "PixelSizeAffine": "0;-0.108;0;0.108;0;0"}),
        108,
    ),
    "folder, tags": (folder_of(resolution=(1 / 6.5e-6,) * 2, resolutionunit="CENTIMETER"), 65),
    "folder, OME": (folder_of(ome=True, metadata={"PhysicalSizeX": 0.065}), 65),
    "folder, ImageJ": (
        folder_of(imagej=True, resolution=(1 / 0.065,) * 2, metadata={"unit": "um"}),
        65,
    ),
    "folder, metadata.txt": (folder_with_metadata, 108),
    "Picasso": (picasso(Pixelsize=130), 130),
    "Picasso, simulated": (picasso(**{"Camera.Pixelsize": 160}), 160),
    "Picasso, camera": (picasso(Camera={"Pixelsize": 160}), 160),
    "Picasso, ToRaw": (picasso(**{"Micro-Manager Metadata": {"PixelSizeUm": "0.13"}}), 130),
    "Zarr, both scales": (ngff([1, 0.5, 0.5], [1, 0.2, 0.2], "micrometer"), 100),
    "Zarr, global scale": (ngff([1, 1, 1], [1, 0.1625, 0.1625], "micrometer"), 162.5),
    "Zarr, nm": (ngff([1, 108, 108], None, "nanometer"), 108),
    "Zarr, no unit": (ngff([1, 0.108, 0.108], None, None), 108),
}

NOT_STATED: dict[str, Callable[[Path], Path]] = {
    "default of OME": ome(PhysicalSizeX=1.0, PhysicalSizeY=1.0),
    "pixels": ome(PhysicalSizeX=0.108, PhysicalSizeXUnit="pixel"),
    "72 dpi": imagej(None, 1 / 72, 2),
    "72 dpi in ImageJ": imagej("inch", 1 / 72, 2),
    "default of MM": manager({"PixelSizeUm": 1, "PixelSizeAffine": "1.0;0.0;0.0;0.0;1.0;0.0"}),
    "no calibration": manager({"PixelSizeUm": 0}),
}


@pytest.mark.parametrize(("write", "size_nm"), STATED.values(), ids=STATED.keys())
def test_size_is_found(tmp_path: Path, write: Callable[[Path], Path], size_nm: float) -> None:
    with open_film(write(tmp_path)) as film:
        found = film.pixel_size()
    assert found.nm == pytest.approx(size_nm, rel=1e-3)
    assert (found.origin, found.notes) == ("file", ())


@pytest.mark.parametrize("write", NOT_STATED.values(), ids=NOT_STATED.keys())
def test_values_that_mean_nothing(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with open_film(write(tmp_path)) as film:
        (note,) = film.pixel_size().notes
    assert note.endswith("does not state its pixel size; assuming 100 nm (--pixel-size-nm sets it)")


@pytest.mark.parametrize(
    ("write", "question"),
    [
        (ome(PhysicalSizeX=0.108, PhysicalSizeXUnit="nm"), r"0.108 nm .*: did you mean 108\?"),
        (
            ome(PhysicalSizeX=108),
            r"108000 nm \(PhysicalSizeX\); assuming 100 nm .*: did you mean 108\?",
        ),
        (picasso(Pixelsize=0.13), r"0.13 nm \(Pixelsize of film.yaml\); .*: did you mean 130\?"),
        (ome(PhysicalSizeX=16), "16000 nm .*: 16 µm is the size on a camera's chip; divide it by"),
        (imagej("um", 65), "65000 nm .* did you mean 65"),
        (ome(PhysicalSizeX=2.5), r"states a pixel size of 2500 nm \(PhysicalSizeX\); assuming"),
    ],
)
def test_absurd_sizes_are_asked_about(
    tmp_path: Path, write: Callable[[Path], Path], question: str
) -> None:
    with open_film(write(tmp_path)) as film:
        found = film.pixel_size()
        assert film.pixel_size(108).notes == ()
    assert found.origin == "assumed"
    with pytest.raises(AssertionError, match=question):
        raise AssertionError(found.notes[0])


@pytest.mark.parametrize(
    "write",
    [ome(**Y2X), ngff([1, 0.2, 0.1], None, "micrometer")],
)
def test_pixels_that_are_not_square(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with open_film(write(tmp_path)) as film:
        with pytest.raises(FilmError, match=r"not square; .* give their edge with --pixel-size-nm"):
            film.pixel_size()
        assert film.pixel_size(108).nm == 108


def test_nearly_square_pixels(tmp_path: Path) -> None:
    with open_film(ome(PhysicalSizeX=0.108, PhysicalSizeY=0.1085)(tmp_path)) as film:
        assert film.pixel_size().nm == pytest.approx(108)


@pytest.mark.parametrize(
    ("given_nm", "question"), [(0.108, "did you mean 108"), (65000, "mean 65"), (3, "expected 10")]
)
def test_absurd_size_from_the_user(tmp_path: Path, given_nm: float, question: str) -> None:
    with (
        open_film(ome()(tmp_path)) as film,
        pytest.raises(SettingError, match=rf"pixel-size-nm is .*{question}"),
    ):
        film.pixel_size(given_nm)


@pytest.mark.parametrize(
    ("unit", "size"), [("thou", 0.004), ("dm", 1e-6), ("cm", 1e-5), ("inch", 4e-6)]
)
def test_every_unit_of_ome(tmp_path: Path, unit: str, size: float) -> None:
    path = tmp_path / "film.ome.tif"
    ome_ns = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    text = (
        f'<OME {ome_ns}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        f'Type="uint16" SizeX="24" SizeY="20" SizeZ="1" SizeC="1" SizeT="4" PhysicalSizeX="{size}" '
        f'PhysicalSizeXUnit="{unit}"><TiffData/></Pixels></Image></OME>'
    )
    frames = np.ones((4, 20, 24), np.uint16)
    tifffile.imwrite(path, frames, metadata=None, description=text, photometric="minisblack")
    with open_film(path) as reader:
        assert reader.pixel_size_nm == pytest.approx(101, rel=0.02)
