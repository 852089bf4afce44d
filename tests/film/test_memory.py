"""A small file can hold frames or chunks that no memory holds: refused before they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from fakes.command_line import one_line, submit
from fakes.films import spots_adu
from fakes.format_films import make_film, write_nd2_film
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.tiff import TiffSource
from smlm_pipeline.film.selection import Selection

GIB = 1 << 30


def large_pages(path: Path) -> Path:
    """Compressed pages that state 80,000 x 90,000 pixels: 13.4 GiB each."""
    return _stating(path, {"ImageWidth": 90_000, "ImageLength": 80_000, "RowsPerStrip": 80_000})


def large_tiles(path: Path) -> Path:
    """Pages of 32 x 32 pixels in tiles of 65,536 x 65,536."""
    return _stating(path, {"TileWidth": 1 << 16, "TileLength": 1 << 16}, tile=(32, 32))


def large_chunk(path: Path) -> Path:
    """Small frames, three millions of which are one chunk."""
    path = path.with_suffix(".zarr")
    array = zarr.open(str(path), mode="w", shape=(4, 48, 48), dtype="u2", chunks=(4, 48, 48))
    array[:] = 1
    for name in ("zarr.json", ".zarray"):
        facts = path / name
        if facts.is_file():
            told: dict[str, Any] = json.loads(facts.read_text())
            if "chunks" in told:
                told["chunks"] = [3_000_000, 48, 48]
            else:
                told["chunk_grid"]["configuration"]["chunk_shape"] = [3_000_000, 48, 48]
            facts.write_text(json.dumps(told))
    return path


def _stating(path: Path, tags: dict[str, int], **options: Any) -> Path:
    path = path.with_suffix(".tif")
    with tifffile.TiffWriter(path) as tif:
        for frame in spots_adu(3, 32, 32):
            tif.write(frame, compression="zlib", metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for page in list(tif.pages):
            for name, value in tags.items():
                page.aspage().tags[name].overwrite(value)
    return path


LARGE = (large_pages, large_tiles, large_chunk)


@pytest.mark.parametrize("make", LARGE, ids=[make.__name__ for make in LARGE])
def test_large_frame_in_a_small_file(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "film")
    told = r"takes \d+\.\d GiB of memory to read one frame, and --memory allows 1\.0 GiB"
    with pytest.raises(FilmError, match=told):
        open_film(path, memory_bytes=GIB)
    result = submit(path, "--memory", "1GiB", "--dry-run")
    assert result.exit_code == 3
    assert "or use more memory" in one_line(result)


def test_descriptions_that_state_too_many_frames(tmp_path: Path) -> None:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, make_film(), ome=True, metadata={"axes": "TYX", "Name": "0" * 9})
    text = path.read_bytes()
    path.write_bytes(text.replace(b'SizeT="12"', b'SizeT="99999999999"').replace(b"0" * 9, b"", 1))
    with pytest.raises(FilmError, match="states 99,999,999,999 planes, more than"):
        open_film(path)
    path = tmp_path / "film.zarr"
    zarr.open(str(path), mode="w", shape=(1 << 40, 48, 48), dtype="u2", chunks=(1, 48, 48))
    with pytest.raises(FilmError, match="states 1,099,511,627,776 chunk files, more than"):
        open_film(path)


def test_a_frame_that_fits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "film.tif", make_film(), compression="zlib")
    with open_film(tmp_path / "film.tif", memory_bytes=1 << 20) as film:
        assert film.decoded_bytes == 20 * 24 * 2
    with open_film(write_nd2_film(tmp_path / "film", make_film()), memory_bytes=1 << 20) as film:
        assert film.decoded_bytes == 20 * 24 * 2


def test_a_region_of_a_block_is_small(tmp_path: Path) -> None:
    """A mapped block costs no more than what is asked for."""
    tifffile.imwrite(tmp_path / "film.tif", np.ones((2, 512, 512), np.uint16))
    part = Selection(roi_px=(0, 0, 64, 64))
    with open_film(tmp_path / "film.tif", part, memory_bytes=1 << 15) as film:
        assert film.read_all().shape == (2, 64, 64)
    with pytest.raises(FilmError, match="to read one frame"):
        open_film(tmp_path / "film.tif", memory_bytes=1 << 15)


def test_memory_that_ran_out_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "film.tif", make_film())

    def read(*_: object) -> None:
        np.empty(1 << 62, np.uint8)

    monkeypatch.setattr(TiffSource, "read", read)
    told = "film.tif takes more memory .*than this machine has free; .*close other programs"
    with pytest.raises(FilmError, match=told) as caught:
        open_film(tmp_path / "film.tif")
    assert not is_of_chunk(caught.value)
    assert one_line(submit(tmp_path / "film.tif")).startswith("recon-client: ")
