"""Zarr stores of every layout: whole, in part, and named by one of their folders."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from fakes.command_line import submit
from fakes.format_films import make_film, read_all
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.zarr_chunks import StoredChunks
from smlm_pipeline.film.formats.zarr_layout import chunk_layout

codecs = pytest.importorskip("zarr.codecs")

TURNED = codecs.TransposeCodec(order=(0, 2, 1))
SHARDS = {
    "turned": [TURNED, codecs.ShardingCodec(chunk_shape=(2, 4, 2))],
    "turned again": [TURNED, TURNED, codecs.ShardingCodec(chunk_shape=(2, 10, 12))],
    "big-endian index": [
        codecs.ShardingCodec(
            chunk_shape=(2, 20, 24),
            index_codecs=[codecs.BytesCodec(endian="big"), codecs.Crc32cCodec()],
        )
    ],
    "index at the start": [codecs.ShardingCodec(chunk_shape=(2, 20, 24), index_location="start")],
}


def _write(path: Path, steps: list[Any], frames: slice = slice(None)) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = make_film().shape
        array = zarr.Array.create(
            store=str(path), shape=shape, dtype="u2", chunk_shape=(4, 20, 24), codecs=steps
        )
        array[frames] = make_film()[frames]
    return path


@pytest.mark.parametrize("steps", SHARDS.values(), ids=SHARDS.keys())
def test_shards(tmp_path: Path, steps: list[Any]) -> None:
    np.testing.assert_array_equal(read_all(_write(tmp_path / "a.zarr", steps)), make_film())
    path = _write(tmp_path / "b.zarr", steps, slice(6))
    with pytest.raises(FilmError, match="lacks frames 6 to 11 of 12 "):
        open_film(path)


def test_shards_that_cannot_be_checked(tmp_path: Path) -> None:
    shards = codecs.ShardingCodec(chunk_shape=(2, 20, 24))
    path = _write(tmp_path / "a.zarr", [shards, codecs.GzipCodec()])
    with pytest.raises(FilmError, match="missing chunks cannot be found"):
        open_film(path)
    with open_film(path, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film())
    nested = _write(
        tmp_path / "b.zarr", [codecs.ShardingCodec(chunk_shape=(4, 20, 24), codecs=[shards])]
    )
    with pytest.raises(FilmError, match="shards within shards"):
        open_film(nested)
    zipped = [codecs.BytesCodec(endian="little"), codecs.GzipCodec()]
    index = _write(
        tmp_path / "c.zarr", [codecs.ShardingCodec(chunk_shape=(4, 20, 24), index_codecs=zipped)]
    )
    with pytest.raises(FilmError, match="keeps the index of its shards compressed"):
        open_film(index)


def test_no_warning_of_python_reaches_the_user(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.zarr", SHARDS["turned"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_all(path)
    assert "Warning" not in submit(path, "--dry-run").output


@pytest.mark.parametrize("lost", [range(3, 7), range(9, 12)])
def test_chunks_that_are_zeros(tmp_path: Path, lost: range) -> None:
    film = make_film()
    film[:, :, 16:] = 0  # a black border, stored as such
    path = tmp_path / "film.zarr"
    options = {"chunks": (1, 20, 8), "compressors": None, "config": {"write_empty_chunks": True}}
    zarr.create_array(str(path), shape=film.shape, dtype="u2", **options)[:] = film
    np.testing.assert_array_equal(read_all(path), film)
    for frame in lost:
        chunk = path / f"c/{frame}/0/1"
        chunk.write_bytes(bytes(chunk.stat().st_size))
    with pytest.raises(FilmError, match=f"lacks frames {lost[0]} to {lost[-1]} of 12 "):
        open_film(path)


def _image(path: Path) -> Path:
    group = zarr.open_group(str(path), mode="w")
    film: NDArray[Any] = make_film().repeat(2, axis=1).repeat(2, axis=2)
    datasets = []
    for level, step in enumerate((1, 2)):
        part = film[:, ::step, ::step]
        group.create_array(str(level), shape=part.shape, dtype="u2", chunks=(4, 20, 24))[:] = part
        scale = {"type": "scale", "scale": [1, 0.11 * step, 0.11 * step]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    axes = [{"name": name, "unit": "micrometer"} for name in "tyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    labels = group.create_group("labels").create_group("cells")
    labels.create_array("0", shape=film.shape, dtype="u4", chunks=(4, 20, 24))[:] = 1
    return path


def test_folders_of_an_image(tmp_path: Path) -> None:
    path = _image(tmp_path / "img.zarr")
    with open_film(path / "0") as reader:
        assert reader.pixel_size_nm == pytest.approx(110)
    with open_film(path / "1") as reader:
        assert reader.pixel_size_nm == pytest.approx(220)
        assert reader.warnings == ("1 of img.zarr is a smaller copy of the film; name img.zarr",)
    for name in ("labels/cells", "labels/cells/0"):
        with pytest.raises(FilmError, match="is an image of labels"):
            open_film(path / name)
    (path / "zarr.json").write_text(json.dumps([]))
    with pytest.raises(FilmError, match="is cut short or damaged"):
        open_film(path)


def test_thousands_of_chunks_take_no_time(tmp_path: Path) -> None:
    shape = (8000, 16, 16)
    zarr.create_array(str(tmp_path), shape=shape, chunks=(1, 16, 16), dtype="u2", zarr_format=2)
    for frame in range(shape[0]):
        (tmp_path / f"{frame}.0.0").write_bytes(b"content")
    layout = chunk_layout(tmp_path, 2)
    assert layout is not None
    started = time.process_time()
    assert StoredChunks(tmp_path, shape, layout).gaps(slice(0, 16), slice(0, 16)) is None
    assert time.process_time() - started < 1
