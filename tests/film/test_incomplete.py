"""Films of other formats than a single TIFF that lack frames: refused, or used as far as they go.

Each case writes a film, damages it, and states which frames are missing and the reason.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from fakes.format_films import make_film, write_nd2_film, write_ndtiff_film, write_raw
from fakes.micro_manager_films import write_mmstack
from fakes.nd2_files import write_nd2
from fakes.ndtiff_films import write_ndtiff
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection

COUNT = 12
ZARR_3 = int(zarr.__version__[0]) >= 3
PARTS = ["acq_MMStack_Pos0.ome.tif", "acq_MMStack_Pos0_1.ome.tif", "acq_MMStack_Pos0_2.ome.tif"]
Damaged = tuple[Path, set[int], str]
"""The film, the frames that it lacks, and a part of the refusal."""


def _zarr(folder: Path, version: int, lost: tuple[str, ...], **options: Any) -> Path:
    path = folder / "film.zarr"
    _write_zarr(path, make_film(), zarr_format=version, **options)
    for name in lost:
        (path / name).unlink()
    return path


def _write_zarr(path: Path, film: NDArray[np.uint16], **options: Any) -> None:
    if not ZARR_3:
        pytest.skip("zarr 2 writes another version of the format")
    zarr.create_array(str(path), shape=film.shape, dtype=film.dtype, **options)[:] = film


def zarr_3(folder: Path) -> Damaged:
    path = _zarr(folder, 3, ("c/3/0/0", "c/4/0/0"), chunks=(1, 20, 24))
    return (
        path,
        {3, 4},
        "2 chunks are not stored, cut short or zeros, the first in the file c/3/0/0",
    )


def zarr_2(folder: Path) -> Damaged:
    return _zarr(folder, 2, ("1.1.0",), chunks=(5, 16, 16)), {5, 6, 7, 8, 9}, "the file 1.1.0"


def zarr_2_nested(folder: Path) -> Damaged:
    keys = {"name": "v2", "separator": "/"}
    path = _zarr(folder, 2, ("11/0/0",), chunks=(1, 20, 24), chunk_key_encoding=keys)
    return path, {11}, "the file 11/0/0"


def zarr_shard(folder: Path) -> Damaged:
    path = _zarr(folder, 3, ("c/1/0/0",), chunks=(2, 20, 24), shards=(4, 20, 24))
    return path, {4, 5, 6, 7}, "2 chunks are not stored"


def zarr_chunk_of_a_shard(folder: Path) -> Damaged:
    path = folder / "film.zarr"
    film = make_film()
    film[6:8] = 0
    _write_zarr(path, film, zarr_format=3, chunks=(2, 20, 24), shards=(4, 20, 24))
    return path, {6, 7}, "a chunk is not stored"


def zarr_shard_cut(folder: Path) -> Damaged:
    path = _zarr(folder, 3, (), chunks=(2, 20, 24), shards=(4, 20, 24))
    shard = path / "c/2/0/0"
    shard.write_bytes(shard.read_bytes()[:-700])
    return path, {8, 9, 10, 11}, "cut short or zeros, the first in the file c/2/0/0"


def zarr_plain_chunk_cut(folder: Path) -> Damaged:
    path = _zarr(folder, 3, (), chunks=(1, 20, 24), compressors=None)
    chunk = path / "c/2/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    return path, {2}, "cut short or zeros, the first in the file c/2/0/0"


def nd2_lacks(folder: Path) -> Damaged:
    film = make_film()
    write_nd2(folder / "film.nd2", film, lacking=(7, 8))
    return folder / "film.nd2", {7, 8}, "the file has 10 of the 12 frames that it states"


def nd2_cut(folder: Path) -> Damaged:
    path = write_nd2_film(folder / "film", make_film())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path, {7, 8, 9, 10, 11}, "it is cut short"


def raw_cut(folder: Path) -> Damaged:
    path = write_raw(folder / "film", make_film())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path, {8, 9, 10, 11}, "it is cut short: it is 7680 bytes, and film.yaml describes 11520"


def _with_zeros(path: Path) -> None:
    """Fill the last third with zeros, as a copy that was interrupted."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3].ljust(len(data), b"\0"))


def raw_with_zeros(folder: Path) -> Damaged:
    path = write_raw(folder / "film", make_film())
    _with_zeros(path)
    return path, {8, 9, 10, 11}, "it ends in zeros"


def nd2_with_zeros(folder: Path) -> Damaged:
    path = write_nd2_film(folder / "film", make_film())
    _with_zeros(path)
    return path, {7, 8, 9, 10, 11}, "it is cut short"


def ndtiff_with_zeros(folder: Path) -> Damaged:
    path = write_ndtiff_film(folder / "film", make_film())
    _with_zeros(path / "film_NDTiffStack_1.tif")
    return path, {8, 9}, "film_NDTiffStack_1.tif is cut short"


def ndtiff_file_lost(folder: Path) -> Damaged:
    path = write_ndtiff_film(folder / "film", make_film())
    (path / "film_NDTiffStack_1.tif").unlink()
    return path, {5, 6, 7, 8, 9}, "film_NDTiffStack_1.tif is not there"


def ndtiff_entry_broken(folder: Path) -> Damaged:
    path = write_ndtiff_film(folder / "film", make_film())
    index = path / "NDTiff.index"
    entries = bytearray(index.read_bytes())
    after = entries.index(b'{"time": 4}') - 4
    entries[after - 32 : after - 28] = struct.pack("<I", 1 << 31)  # the offset of frame 3
    index.write_bytes(entries)
    return path, {3}, "its entry in NDTiff.index is damaged"


def ndtiff_hole(folder: Path) -> Damaged:
    film = make_film()
    planes = {json.dumps({"time": t}): film[t] for t in range(COUNT) if t not in (4, 5)}
    write_ndtiff(folder / "film", planes)
    return folder / "film", {4, 5}, "its NDTiff.index names 10 of 12 planes"


def mmstack_part_lost(folder: Path) -> Damaged:
    return _mmstack(folder, lost=1, named=True), {4, 5, 6, 7}, f"{PARTS[1]} is not there"


def mmstack_part_cut(folder: Path) -> Damaged:
    path = _mmstack(folder, lost=2, named=False)
    film = make_film()
    planes = {(0, 0, t, 0): film[t] for t in range(8, 12)}
    write_mmstack(folder / PARTS[2], planes, summary=_summary())
    (folder / PARTS[2]).write_bytes((folder / PARTS[2]).read_bytes()[:-1000])
    return path, {8, 9, 10, 11}, f"{PARTS[2]} is cut short"


def mmstack_part_lost_unnamed(folder: Path) -> Damaged:
    path = _mmstack(folder, lost=2, named=False)
    return path, {8, 9, 10, 11}, f"{PARTS[2]} is not there, or"


def mmstack_stopped(folder: Path) -> Damaged:
    film = make_film()
    planes = {(0, 0, t, 0): film[t] for t in range(9)}
    write_mmstack(folder / PARTS[0], planes, summary=_summary())
    return folder / PARTS[0], {9, 10, 11}, "or the acquisition was stopped"


def _mmstack(folder: Path, *, lost: int, named: bool) -> Path:
    film = make_film()
    for number, name in enumerate(PARTS):
        planes = {(0, 0, t, 0): film[t] for t in range(4 * number, 4 * number + 4)}
        parts = PARTS if named and not number else ()
        write_mmstack(folder / name, planes, summary=_summary(), parts=parts)
    (folder / PARTS[lost]).unlink()
    return folder / PARTS[0]


def _summary(**more: object) -> dict[str, object]:
    return {"Frames": COUNT, "Channels": 1, "Slices": 1, "Positions": 1, "Prefix": "acq"} | more


DAMAGES = (
    zarr_3, zarr_2, zarr_2_nested, zarr_shard, zarr_chunk_of_a_shard, zarr_shard_cut,
    zarr_plain_chunk_cut, nd2_lacks, nd2_cut, raw_cut, raw_with_zeros, nd2_with_zeros,
    ndtiff_with_zeros, ndtiff_file_lost, ndtiff_entry_broken,
    ndtiff_hole, mmstack_part_lost, mmstack_part_lost_unnamed, mmstack_part_cut, mmstack_stopped,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_film_that_lacks_frames(tmp_path: Path, damage: Callable[[Path], Damaged]) -> None:
    path, missing, reason = damage(tmp_path)
    there = [frame for frame in range(COUNT) if frame not in missing]
    with pytest.raises(FilmError, match=re.escape(reason)) as refused:
        open_film(path)
    assert f"take the {len(there)} frames that are there with --allow-partial" in str(refused.value)
    film = make_film()
    with open_film(path, allow_partial=True) as reader:
        assert {frame for part in reader.missing for frame in part} == missing
        np.testing.assert_array_equal(reader.read_all(), film[there])
        (warning,) = reader.warnings
        assert reason.partition(" or another")[0] in warning or "states 12 planes" in warning
    second = [frame for frame in there if frame % 2]
    with open_film(path, Selection(frames=(1, None, 2)), allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), film[second])
    first = min(missing)
    with open_film(path, Selection(frames=(0, first))) as reader:
        assert reader.missing == ()
        assert "the chosen frames are complete" in reader.warnings[0]
        np.testing.assert_array_equal(reader.read_all(), film[:first])
    with pytest.raises(FilmError, match=f"lacks frame {first} of {first + 1} "):
        open_film(path, Selection(frames=(0, first + 1)))


def test_zarr_whose_region_is_complete(tmp_path: Path) -> None:
    path = _zarr(tmp_path, 3, ("c/1/0/1",), chunks=(5, 16, 16))
    with open_film(path, Selection(roi_px=(0, 0, 16, 20))) as reader:
        assert not reader.warnings
        np.testing.assert_array_equal(reader.read_all(), make_film()[:, :, :16])
    with pytest.raises(FilmError, match=r"write_empty_chunks=True, or choose a region without"):
        open_film(path)


def test_nd2_with_black_frames(tmp_path: Path) -> None:
    film = make_film()
    film[7] = 0
    with open_film(write_nd2_film(tmp_path / "film", film)) as reader:
        np.testing.assert_array_equal(reader.read_all(), film)


def test_nd2_whose_map_alone_is_lost(tmp_path: Path) -> None:
    path = write_nd2_film(tmp_path / "film", make_film())
    path.write_bytes(path.read_bytes()[:-100])
    with open_film(path) as reader:
        assert reader.warnings == ("film.nd2 has all frames, but it is cut short",)
        np.testing.assert_array_equal(reader.read_all(), make_film())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FilmError, match="is cut short or damaged"):
        open_film(path)


@pytest.mark.parametrize("kept", [0.5, 0.51])
def test_ndtiff_index_that_ends_early(tmp_path: Path, kept: float) -> None:
    path = write_ndtiff_film(tmp_path / "film", make_film())
    index = path / "NDTiff.index"
    entries = index.read_bytes()
    sixth = entries.index(b'{"time": 6}') - 4
    index.write_bytes(entries[: sixth + (20 if kept > 0.5 else 0)])
    told = r"lacks all frames from 6 on \(its NDTiff.index ends before its files do, or is damaged"
    with pytest.raises(FilmError, match=told):
        open_film(path)
    for options in ({"allow_partial": True}, {"selection": Selection(frames=(0, 6))}):
        with open_film(path, **options) as reader:
            np.testing.assert_array_equal(reader.read_all(), make_film()[:6])


def test_positions_of_a_stopped_acquisition(tmp_path: Path) -> None:
    """The last round ended after the second position: the third one lacks a frame."""
    film, names = make_film(), [f"acq_MMStack_1-Pos00{place}_000.ome.tif" for place in range(3)]
    summary = _summary(Frames=4, Positions=3)
    for place, name in enumerate(names):
        planes = {(0, 0, t, place): film[3 * t + place] for t in range(4 - (place == 2))}
        write_mmstack(tmp_path / name, planes, summary=summary)
    for place in range(2):
        with open_film(tmp_path / names[0], Selection(position=place)) as reader:
            assert not reader.warnings
            np.testing.assert_array_equal(reader.read_all(), film[place::3])
    with pytest.raises(FilmError, match="lacks frame 3 of 4"):
        open_film(tmp_path / names[0], Selection(position=2))
    with open_film(tmp_path / names[0], Selection(position=2), allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), film[2:9:3])
