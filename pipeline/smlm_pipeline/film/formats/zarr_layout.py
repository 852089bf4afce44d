"""Read from a Zarr array's metadata how its folder stores its chunks.

Versions 2 and 3 of the format (https://zarr-specs.readthedocs.io), and shards.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SHARDS_CODED = "has shards that are coded as a whole, where missing chunks cannot be found"
"""The one such reason for which an array can be read."""


@dataclass(frozen=True)
class ChunkLayout:
    """How the folder of an array stores its chunks.

    ``stored`` is the shape of what one file holds, a chunk or a shard, and ``chunk`` the shape
    of a chunk. ``prefix`` and ``separator`` make the names of the files. ``size_bytes`` is the
    size of a file of uncompressed values, or None. ``index_bytes`` is the size of the index of a
    shard, of values of ``index_type``, at its end unless ``index_first``; 0 where files are no
    shards. ``order`` are the axes in the order in which a shard keeps them. ``unknown``
    says why it cannot be found out which chunks a file lacks.
    """

    stored: tuple[int, ...]
    chunk: tuple[int, ...]
    prefix: str
    separator: str
    size_bytes: int | None = None
    index_bytes: int = 0
    index_first: bool = False
    index_type: str = "<u8"
    order: tuple[int, ...] = ()
    unknown: str = ""


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
    prefix = "c" if default else ""
    names = [codec["name"] for codec in codecs]
    if "sharding_indexed" in names:
        return _sharded(ChunkLayout(stored, stored, prefix, separator), codecs)
    size_bytes = math.prod(stored) * itemsize if names == ["bytes"] else None
    return ChunkLayout(stored, stored, prefix, separator, size_bytes)


def _sharded(layout: ChunkLayout, codecs: list[Mapping[str, Any]]) -> ChunkLayout:
    """The layout of files that are shards; axes may be turned before the shard is made."""
    order = list(range(len(layout.stored)))
    while codecs[0]["name"] == "transpose":
        order = [order[axis] for axis in codecs[0]["configuration"]["order"]]
        codecs = codecs[1:]
    if codecs[0]["name"] != "sharding_indexed":
        return replace(layout, unknown=SHARDS_CODED)
    sharding = codecs[0].get("configuration", {})
    index = {codec["name"]: codec.get("configuration", {}) for codec in sharding["index_codecs"]}
    inner = {codec["name"] for codec in sharding.get("codecs", ())}
    if len(codecs) > 1:
        return replace(layout, unknown=SHARDS_CODED)
    if "sharding_indexed" in inner:
        return replace(layout, unknown="has shards within shards")
    if not set(index) <= {"bytes", "crc32c"}:
        return replace(layout, unknown="keeps the index of its shards compressed")
    chunk = [0] * len(order)
    for axis, size in zip(order, sharding["chunk_shape"], strict=True):
        chunk[axis] = size
    count = math.prod(whole // part for whole, part in zip(layout.stored, chunk, strict=True))
    return replace(
        layout,
        chunk=tuple(chunk),
        index_bytes=16 * count + 4 * ("crc32c" in index),
        index_first=sharding.get("index_location", "end") == "start",
        index_type=">u8" if index["bytes"].get("endian") == "big" else "<u8",
        order=tuple(order),
    )
