"""Find the chunks of a Zarr array that its folder lacks: the library reads them as fill values.

Files are looked at as versions 2 and 3 of the format name them
(https://zarr-specs.readthedocs.io), and of shards the index.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Gaps

_REMEDY = (
    "copy it again (if frames or blocks of it are truly black, save it with zarr's "
    "write_empty_chunks=True, or choose a region without them with --roi)"
)

FILES_MAX = 1 << 24
"""Most files of an array: each of them is looked for."""

_ABSENT = np.uint64(2**64 - 1)
"""Offset and size of a chunk that a shard lacks."""


@dataclass(frozen=True)
class ChunkLayout:
    """How the folder of an array stores its chunks.

    ``stored`` is the shape of what one file holds, a chunk or a shard, and ``chunk`` the shape
    of a chunk. ``prefix`` and ``separator`` make the names of the files. ``size_bytes`` is the
    size of a file of uncompressed values, or None. ``index_bytes`` is the size of the index of a
    shard, at its end unless ``index_first``; 0 where files are no shards or their index is
    stored otherwise.
    """

    stored: tuple[int, ...]
    chunk: tuple[int, ...]
    prefix: str
    separator: str
    size_bytes: int | None = None
    index_bytes: int = 0
    index_first: bool = False


def chunk_layout(folder: Path, itemsize: int) -> ChunkLayout | None:
    """Layout of the array in a folder, from its metadata; None where it is of another kind.

    Parameters
    ----------
    folder : Path
        The folder with ``.zarray`` or ``zarr.json``.
    itemsize : int
        Bytes of a value.
    """
    if (folder / ".zarray").is_file():
        facts = json.loads((folder / ".zarray").read_text(encoding="utf-8"))
        chunk = tuple(facts["chunks"])
        plain = not facts.get("compressor") and not facts.get("filters")
        size_bytes = math.prod(chunk) * itemsize if plain else None
        return ChunkLayout(chunk, chunk, "", facts.get("dimension_separator", "."), size_bytes)
    facts = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    grid, keys = facts["chunk_grid"], facts["chunk_key_encoding"]
    if grid["name"] != "regular" or keys["name"] not in {"default", "v2"}:
        return None
    default = keys["name"] == "default"
    separator = keys.get("configuration", {}).get("separator", "/" if default else ".")
    stored, codecs = tuple(grid["configuration"]["chunk_shape"]), facts["codecs"]
    names = [codec["name"] for codec in codecs]
    prefix = "c" if default else ""
    if names == ["sharding_indexed"]:
        return _sharded(stored, prefix, separator, codecs[0]["configuration"])
    size_bytes = math.prod(stored) * itemsize if names == ["bytes"] else None
    return ChunkLayout(stored, stored, prefix, separator, size_bytes)


def _sharded(
    stored: tuple[int, ...], prefix: str, separator: str, sharding: Mapping[str, Any]
) -> ChunkLayout:
    chunk = tuple(sharding["chunk_shape"])
    names = [codec["name"] for codec in sharding["index_codecs"]]
    count = math.prod(whole // part for whole, part in zip(stored, chunk, strict=True))
    sizes = {("bytes",): 16 * count, ("bytes", "crc32c"): 16 * count + 4}
    first = sharding.get("index_location", "end") == "start"
    index_bytes = sizes.get(tuple(names), 0)
    return ChunkLayout(stored, chunk, prefix, separator, None, index_bytes, first)


class StoredChunks:
    """Which chunks of an array are in its folder.

    Parameters
    ----------
    folder : Path
        The folder of the array.
    shape : tuple of int
        Lengths of its axes, the last two of which are Y and X.
    layout : ChunkLayout
        How it stores its chunks.

    Raises
    ------
    FilmError
        If these would be more than ``FILES_MAX`` files.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], layout: ChunkLayout) -> None:
        self._shape, self._layout = shape, layout
        self._parts = layout.chunk if layout.index_bytes else layout.stored
        grid = tuple(-(-size // part) for size, part in zip(shape, layout.stored, strict=True))
        if math.prod(grid) > FILES_MAX:
            problem = f"states {math.prod(grid):,} chunk files, more than {FILES_MAX:,}"
            raise refusal(folder, problem, "save it in larger chunks or shards")
        sizes = dict(_walk(folder, ""))
        self._in_file = tuple(
            whole // part for whole, part in zip(layout.stored, self._parts, strict=True)
        )
        # Axes of files and, after each of them, of the chunks within a file.
        there = np.zeros([n for pair in zip(grid, self._in_file, strict=True) for n in pair], bool)
        for place in np.ndindex(*grid):
            name = _name(place, layout)
            within = _in_file(folder / name, sizes.get(name, 0), self._in_file, layout)
            there[tuple(part for index in place for part in (index, slice(None)))] = within
        self._there = there.reshape([a * b for a, b in zip(grid, self._in_file, strict=True)])

    def gaps(self, y: slice, x: slice) -> Gaps | None:
        """What is missing of a region of the planes; None if nothing is.

        A plane is present if all of its chunks are that the region touches.
        """
        used = [slice(-(-n // part)) for n, part in zip(self._shape, self._parts, strict=True)]
        for axis, region in ((-2, y), (-1, x)):
            part = self._parts[axis]
            used[axis] = slice(region.start // part, -(-region.stop // part))
        there = self._there[tuple(used)]
        if there.all():
            return None
        whole = there.all(axis=(-2, -1))
        for axis, (size, part) in enumerate(zip(self._shape[:-2], self._parts[:-2], strict=True)):
            whole = np.repeat(whole, part, axis).take(range(size), axis)
        return Gaps(np.flatnonzero(whole), self._reason(there, used), _REMEDY)

    def _reason(self, there: NDArray[np.bool_], used: list[slice]) -> str:
        """The file of the first missing chunk, and their number."""
        first = np.unravel_index(int(np.argmin(there)), there.shape)
        starts = (int(at) + (part.start or 0) for at, part in zip(first, used, strict=True))
        place = tuple(at // within for at, within in zip(starts, self._in_file, strict=True))
        count = int(np.count_nonzero(~there))
        chunks = "a chunk is" if count == 1 else f"{count:,} chunks are"
        return (
            f"{chunks} not stored or cut short, the first in the file {_name(place, self._layout)}"
        )


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat().st_size


def _name(place: tuple[int, ...], layout: ChunkLayout) -> str:
    numbers = layout.separator.join(map(str, place))
    if not layout.prefix:
        return numbers or "0"
    return f"{layout.prefix}{layout.separator}{numbers}" if numbers else layout.prefix


def _in_file(
    file: Path, size_bytes: int, shards: tuple[int, ...], layout: ChunkLayout
) -> NDArray[np.bool_]:
    """Whether each chunk of a file is in it, of shape ``shards``."""
    absent = np.zeros(shards, bool)
    if not size_bytes or size_bytes < max(layout.size_bytes or 0, layout.index_bytes):
        return absent
    if not layout.index_bytes:
        return ~absent
    count = math.prod(shards)
    with file.open("rb") as opened:
        opened.seek(0 if layout.index_first else size_bytes - layout.index_bytes)
        index = np.frombuffer(opened.read(16 * count), "<u8").reshape(*shards, 2)
    offsets, lengths = index[..., 0], index[..., 1]
    empty = (offsets == _ABSENT) & (lengths == _ABSENT)
    inside = (offsets <= size_bytes) & (lengths <= size_bytes)
    inside &= offsets + np.where(inside, lengths, 0) <= size_bytes
    if (~empty & ~inside).any():  # the end of a shard that was cut short is no index
        return np.asarray(inside) if layout.index_first else absent
    return np.asarray(~empty)
