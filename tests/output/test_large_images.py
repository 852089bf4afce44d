"""Large images: tiles, compression and a pyramid, in OME-TIFF and in OME-Zarr."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from fakes.image_files import image_of
from smlm_pipeline.errors import OutputError
from smlm_pipeline.film.formats.own_results import is_result, is_result_folder
from smlm_pipeline.output import pyramid
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.ome_zarr import write_zarr
from smlm_pipeline.output.pyramid import level_shapes

FACTS = ImageFacts(12.5, {"model": "reconstruction"})


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 16 pixels, an image that is large from 65 pixels on, bands of a row of tiles."""
    monkeypatch.setattr(pyramid, "LARGE_EDGE_PX", 64)
    monkeypatch.setattr(pyramid, "BAND_BYTES", 1)
    for module in ("ome_tiff", "ome_zarr"):
        monkeypatch.setattr(f"smlm_pipeline.output.{module}.TILE_PX", 16)
    monkeypatch.setattr("smlm_pipeline.output.ome_tiff.LARGE_EDGE_PX", 64)
    monkeypatch.setattr(pyramid, "TILE_PX", 16)


def _image(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height).exponential(size=(height, width)).astype(np.float32)


def _means(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Means of 2 x 2 pixels, of fewer at the far edges."""
    height, width = (-(-edge // 2) for edge in image.shape)
    return np.array(
        [
            [image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(width)]
            for y in range(height)
        ]
    )


def test_levels() -> None:
    assert level_shapes((2048, 300)) == [(2048, 300)]
    assert level_shapes((5001, 4096)) == [(5001, 4096), (2501, 2048), (1251, 1024)]


@pytest.mark.parametrize("shape", [(150, 161), (64, 65), (33, 257)])
def test_tiff(tmp_path: Path, small_tiles: None, shape: tuple[int, int]) -> None:
    image, path = _image(*shape), tmp_path / "image.ome.tif"
    write_image(path, image, FACTS)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        (series,) = tiff.series
        assert (series.axes, series.shape, str(series.dtype)) == ("YX", shape, "float32")
        levels = [level.asarray() for level in series.levels]
        page = tiff.pages.first
        assert (page.tilelength, page.tilewidth) == (16, 16)
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert len(page.subifds or ()) == len(levels) - 1 > 0
        firsts = [level.pages[0] for level in series.levels]
        resolutions = [page.resolution[0] for page in firsts if page is not None]
    assert np.asarray(levels[0]).tobytes() == image.tobytes()
    for before, after in itertools.pairwise(levels):
        np.testing.assert_allclose(after, _means(before), rtol=1e-6)
    assert resolutions[0] / resolutions[1] == pytest.approx(2, rel=0.02)
    assert is_result(path)
    assert [each.name for each in tmp_path.iterdir()] == ["image.ome.tif"]


def test_sparse_tiff_is_small(tmp_path: Path) -> None:
    image = np.zeros((2600, 2600), np.float32)
    image[::50, ::50] = 0.7
    path = tmp_path / "image.ome.tif"
    write_image(path, image, FACTS)
    assert path.stat().st_size < image.nbytes / 50
    np.testing.assert_array_equal(tifffile.imread(path), image)


@pytest.mark.parametrize("shape", [(150, 161), (20, 30)])
def test_zarr(tmp_path: Path, small_tiles: None, shape: tuple[int, int]) -> None:
    image, path = _image(*shape), tmp_path / "image.ome.zarr"
    image[:40, :20] = 0
    stated = replace(FACTS, name="film.tif", acquired="2026-11-26T21:05:06", channel="Cy5")
    write_zarr(path, image, stated)
    group = zarr.open_group(str(path), mode="r")
    attributes = dict(group.attrs)
    (scales,) = attributes["multiscales"]
    levels = [np.asarray(group[each["path"]][:]) for each in scales["datasets"]]
    np.testing.assert_array_equal(levels[0], image)
    for before, after in itertools.pairwise(levels):
        np.testing.assert_allclose(after, _means(before), rtol=1e-6)
    assert len(levels) == len(level_shapes(shape))
    edges = [each["coordinateTransformations"][0]["scale"] for each in scales["datasets"]]
    assert edges == [[12.5 * 2**level] * 2 for level in range(len(levels))]
    if len(levels) > 1:
        moved = scales["datasets"][1]["coordinateTransformations"][1]
        assert moved == {"type": "translation", "translation": [6.25, 6.25]}
    assert [axis["unit"] for axis in scales["axes"]] == ["nanometer"] * 2
    assert attributes["omero"]["channels"][0]["label"] == "Cy5"
    assert attributes["smlm-recon"]["model"] == "reconstruction"
    assert attributes["smlm-recon"]["acquired"] == "2026-11-26T21:05:06"
    assert not (path / "0" / "0" / "0").exists()  # a chunk of zeros
    assert is_result_folder(path)


def test_zarr_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.zarr"
    for edge_px in (600, 20):
        write_zarr(path, np.ones((edge_px, edge_px), np.float32), FACTS)
    assert image_of(path).shape == (20, 20)
    assert [each.name for each in tmp_path.iterdir()] == ["image.ome.zarr"]


def test_failure_leaves_the_earlier_zarr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.ome.zarr"
    write_zarr(path, np.ones((20, 20), np.float32), FACTS)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_zarr(path, np.zeros((30, 30), np.float32), FACTS)
    assert image_of(path).shape == (20, 20)
    assert [each.name for each in tmp_path.iterdir()] == ["image.ome.zarr"]
