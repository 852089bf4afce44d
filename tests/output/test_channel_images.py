"""Images of two channels as OME-TIFF and OME-Zarr, small and with a pyramid, and merged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from smlm_pipeline.output import ome_tiff, ome_zarr
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.picture import write_merged_picture
from smlm_pipeline.output.pyramid import TILE_PX

FACTS = ImageFacts(12.5, {"split": "left,right"}, "film.tif", "2026-11-26T21:05:06")


def _images(height: int, width: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return {name: rng.random((height, width), np.float32) for name in ("mEos", "Alexa <647>")}


@pytest.mark.parametrize("shape", [(40, 56), (40, 2100)])
def test_tiff_has_both_channels(tmp_path: Path, shape: tuple[int, int]) -> None:
    images, path = _images(*shape), tmp_path / "two.ome.tif"
    ome_tiff.write_channels(path, images, FACTS)
    with tifffile.TiffFile(path) as tiff:
        (series,) = tiff.series
        assert (series.axes, series.shape) == ("CYX", (2, *shape))
        np.testing.assert_array_equal(series.asarray(), np.stack(list(images.values())))
        assert len(series.levels) == (2 if max(shape) > 2048 else 1)
        if len(series.levels) > 1:
            halved = series.levels[1].asarray()
            blocks = np.stack(list(images.values())).reshape(2, shape[0] // 2, 2, shape[1] // 2, 2)
            np.testing.assert_allclose(halved, blocks.mean(axis=(2, 4)), rtol=1e-6)
        (image,) = ome_types.from_xml(str(tiff.ome_metadata), validate=False).images
    channels = image.pixels.channels
    assert [channel.name for channel in channels] == list(images)
    assert [channel.color.as_rgb_tuple()[:3] for channel in channels if channel.color] == [
        (0, 255, 0),
        (255, 0, 255),
    ]
    assert (image.pixels.size_c, image.pixels.physical_size_x) == (2, 12.5)


@pytest.mark.parametrize("shape", [(40, 56), (TILE_PX + 8, 2100)])
def test_zarr_has_both_channels(tmp_path: Path, shape: tuple[int, int]) -> None:
    images, path = _images(*shape), tmp_path / "two.ome.zarr"
    ome_zarr.write_channels(path, images, FACTS)
    group = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["0"][:], np.stack(list(images.values())))
    (multiscales,) = group.attrs["multiscales"]
    assert [axis["name"] for axis in multiscales["axes"]] == ["c", "y", "x"]
    assert len(multiscales["datasets"]) == (2 if max(shape) > 2048 else 1)
    for level in multiscales["datasets"]:
        assert len(group[level["path"]].shape) == 3
        assert level["coordinateTransformations"][0]["scale"][0] == 1
    labels = [channel["label"] for channel in group.attrs["omero"]["channels"]]
    assert labels == list(images)
    assert group.attrs["smlm-recon"]["split"] == "left,right"


def test_an_empty_channel_is_black(tmp_path: Path) -> None:
    images = {"a": np.zeros((64, 64), np.float32), "b": np.ones((64, 64), np.float32)}
    write_merged_picture(tmp_path / "two.png", images, sr_pixel_size_nm=12.5)
    ome_zarr.write_channels(tmp_path / "two.ome.zarr", images, FACTS)
    assert (tmp_path / "two.png").stat().st_size > 500
    read = zarr.open_group(str(tmp_path / "two.ome.zarr"), mode="r")["0"][:]
    np.testing.assert_array_equal(read, np.stack(list(images.values())))
