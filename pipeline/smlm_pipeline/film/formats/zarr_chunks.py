"""Find the chunks of a Zarr array that its folder lacks: the library reads them as fill values.

Files are looked for by their names, and of shards the index is read.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Gaps
from smlm_pipeline.film.formats.zarr_layout import ChunkLayout

_REMEDY = (
    "copy it again (if frames or blocks of it are truly black, save it with zarr's "
    "write_empty_chunks=True, or choose a region without them with --roi)"
)

FILES_MAX = 1 << 24
"""Most files of an array: each of them is looked for."""

_PROBED_FILES = 512
"""Files of uncompressed values that are looked into; all of them if one of these is zeros."""

_ABSENT = np.uint64(2**64 - 1)
"""Offset and size of a chunk that a shard lacks."""


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
        sizes = dict(_walk(str(folder), ""))
        root = f"{folder}{os.sep}"
        self._in_file = tuple(
            whole // part for whole, part in zip(layout.stored, self._parts, strict=True)
        )
        # Axes of files and, after each of them, of the chunks within a file.
        there = np.zeros([n for pair in zip(grid, self._in_file, strict=True) for n in pair], bool)
        for place in itertools.product(*map(range, grid)):
            name = _name(place, layout)
            within = _in_file(root + name, sizes.get(name, 0), self._in_file, layout)
            there[tuple(part for index in place for part in (index, slice(None)))] = within
        if layout.size_bytes:
            there &= _unless_zeros(folder, there, layout)
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
        name = _name(place, self._layout)
        return f"{chunks} not stored, cut short or zeros, the first in the file {name}"


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat().st_size


def _unless_zeros(folder: Path, there: NDArray[np.bool_], layout: ChunkLayout) -> NDArray[np.bool_]:
    """Whether each file holds more than zeros, or none does at its place in the field.

    Files are reserved before they are written, and after a power cut hold zeros. A border may be
    black in all frames.
    """
    grid = there.shape[::2]
    places = np.argwhere(there.reshape(grid))
    filled = np.ones(grid, bool)
    probed = places[:: max(1, len(places) // _PROBED_FILES)]
    if all(_is_filled(folder / _name(place, layout)) for place in probed):
        return np.ones_like(there)
    for place in places:
        filled[tuple(place)] = _is_filled(folder / _name(place, layout))
    shown = (filled & there.reshape(grid)).any(axis=tuple(range(len(grid) - 2)), keepdims=True)
    kept: NDArray[np.bool_] = (filled | ~shown).reshape(there.shape)
    return kept


def _is_filled(file: Path) -> bool:
    with file.open("rb") as opened:
        while content := opened.read(1 << 16):
            if content.strip(b"\0"):
                return True
    return False


def _name(place: Iterable[int], layout: ChunkLayout) -> str:
    numbers = layout.separator.join(map(str, place))
    if not layout.prefix:
        return numbers or "0"
    return f"{layout.prefix}{layout.separator}{numbers}" if numbers else layout.prefix


def _in_file(
    file: str, size_bytes: int, shards: tuple[int, ...], layout: ChunkLayout
) -> NDArray[np.bool_]:
    """Whether each chunk of a file is in it, of shape ``shards``."""
    absent = np.zeros(shards, bool)
    if not size_bytes or size_bytes < max(layout.size_bytes or 0, layout.index_bytes):
        return absent
    if not layout.index_bytes:
        return ~absent
    turned = [shards[axis] for axis in layout.order]
    with open(file, "rb") as opened:  # noqa: PTH123 - thousands of Paths take a second
        opened.seek(0 if layout.index_first else size_bytes - layout.index_bytes)
        content = opened.read(16 * math.prod(shards))
    index = np.frombuffer(content, layout.index_type).reshape(*turned, 2)
    index = index.transpose(*np.argsort(layout.order), len(shards))
    offsets, lengths = index[..., 0], index[..., 1]
    empty = (offsets == _ABSENT) & (lengths == _ABSENT)
    inside = (offsets <= size_bytes) & (lengths <= size_bytes)
    inside &= offsets + np.where(inside, lengths, 0) <= size_bytes
    if (~empty & ~inside).any():  # the end of a shard that was cut short is no index
        return np.asarray(inside) if layout.index_first else absent
    return np.asarray(~empty)
