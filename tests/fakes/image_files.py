"""Images as files, written as a run writes them, and one to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from smlm_pipeline.output import ome_tiff, picture
from smlm_pipeline.output.facts import ImageFacts

PIXEL_NM = 12.5
PROVENANCE = {"model": "reconstruction", "version": 3, "frames": 1000, "levels": [101.5, 40.25]}


def write_image(path: Path, image: NDArray[np.float32]) -> None:
    ome_tiff.write_image(path, image, ImageFacts(PIXEL_NM, PROVENANCE))


def write_picture(path: Path, image: NDArray[np.float32]) -> None:
    picture.write_picture(path, image, sr_pixel_size_nm=PIXEL_NM)


def described(path: Path) -> dict[str, Any]:
    """What the image's own metadata tells of how it was made."""
    with tifffile.TiffFile(path) as tif:
        assert tif.ome_metadata is not None
        text = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Description"]
    description: dict[str, Any] = json.loads(text)
    return description


def image_of(path: Path) -> NDArray[np.float32]:
    """The whole image of an OME-TIFF, or of the first level of an OME-Zarr."""
    if path.is_dir():
        read: NDArray[np.float32] = np.asarray(zarr.open(str(path / "0"), mode="r")[:])
        return read
    return np.asarray(tifffile.imread(path))


def filaments(edge_px: int, count: int, points: int) -> NDArray[np.float32]:
    """Emitters at random along wavy filaments: shape (Y, X), float32."""
    random = np.random.default_rng(7)
    along = random.uniform(0, edge_px, (count, points))
    level = random.uniform(0.1 * edge_px, 0.9 * edge_px, (count, 1))
    across = level + 20 * np.sin(2 * np.pi * along / 200 + level)
    across = np.clip(across + random.normal(0, 1, along.shape), 0, edge_px - 1)
    image = np.zeros((edge_px, edge_px), np.float32)
    np.add.at(image, (across.astype(int), along.astype(int)), np.float32(0.7))
    return image
