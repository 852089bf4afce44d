"""bioio's and ome-zarr's own readers open our images, with the right scale and values.

They need libraries that exclude this project's own: ``make readers``, or name the Python of that
environment in ``RECON_READERS_PYTHON``. Fiji and napari read OME-TIFF through Bio-Formats and
tifffile, and OME-Zarr through the metadata that is checked here.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.places import ROOT
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.ome_zarr import write_zarr

PYTHON = Path(os.environ.get("RECON_READERS_PYTHON", ROOT / ".venv-readers/bin/python"))

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="needs bioio, ome-zarr and lxml: make readers"
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
