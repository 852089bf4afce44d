"""Read NDTiff folders of Micro-Manager 2: an index gives the file and offset of each plane.

The index alone is read: tifffile's reader of this format needs NumPy 2, and the package
ndtiff has had no release since 2024.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, read_ndtiff_index

from smlm_pipeline.film.formats.acquisition_date import date_of_tiff
from smlm_pipeline.film.formats.own_results import is_result_by_name
from smlm_pipeline.film.formats.refusals import AGAIN, damage, refusal
from smlm_pipeline.film.formats.source import (
    Gaps,
    GapsState,
    SourceAtRest,
    squeezed,
)
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_tiff
from smlm_pipeline.film.formats.written import written_bytes

INDEX = "NDTiff.index"
"""Name of the index beside the files of a film."""

_LETTERS = {"position": "P", "time": "T", "channel": "C", "z": "Z"}
_TYPES = {0: np.uint8, 1: np.uint16, 3: np.uint16, 4: np.uint16, 5: np.uint16, 6: np.uint16}

_ALIKE = 0.9
"""Share of entries that are of one kind where the others are damaged rather than another film."""

_FIELDS_BYTES = 40
"""Bytes of an entry beside its two texts."""


@dataclass(frozen=True)
class _Entry:
    """An entry of the index: axes, file, offset and what kind of plane is there."""

    axes: dict[str, int | str]
    file: Path
    start: int
    kind: tuple[int, int, int, int]

    def fits(self, sizes: dict[Path, int]) -> bool:
        """Whether the plane is of a known kind and inside its file."""
        height, width, kind, packed = self.kind
        if min(height, width) < 1 or kind not in _TYPES or packed:
            return False
        end = self.start + height * width * np.dtype(_TYPES[kind]).itemsize
        return end <= sizes.get(self.file, 0)


class NdtiffSource(SourceAtRest):
    """Planes of an NDTiff folder, each at an offset in one of the files."""

    def __init__(
        self,
        path: Path,
        axes: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        places: dict[int, tuple[Path, int]],
    ) -> None:
        self.path, self._places, self._plane_px = path, places, shape[-2:]
        self.axes, self.shape = squeezed(axes, shape)
        self.dtype = dtype
        with TiffFile(next(iter(places.values()))[0]) as tif:
            self.pixel_size_nm, self.pixel_doubt = size_of_tiff(tif)
            self.acquired = date_of_tiff(tif)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read the planes at their offsets; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            file, start = self._places[plane]
            values = np.fromfile(file, self.dtype, math.prod(self._plane_px), offset=start)
            if len(values) < math.prod(self._plane_px):
                raise EOFError
            read[index] = values.reshape(self._plane_px)[y, x]
        return read


def is_part(path: Path) -> bool:
    """Whether a file is one of those that an index beside it names."""
    return "_NDTiffStack" in path.name and (path.parent / INDEX).is_file()


def open_ndtiff(folder: Path) -> NdtiffSource:
    """Open the folder by its index; planes that are not in its files are gaps.

    Raises
    ------
    FilmError
        If planes differ in size or type, the film is in colour, or no plane is there.
    """
    entries, index_whole = _read_index(folder)
    if not entries:
        raise refusal(folder, f"has an {INDEX} that names no planes", AGAIN)
    plane_px = max(entries[0].kind[0] * entries[0].kind[1], 1)
    files = {entry.file for entry in entries}
    sizes = {file: written_bytes(file, plane_px) for file in files if file.is_file()}
    there = [entry for entry in entries if entry.fits(sizes)]
    kinds = Counter(entry.kind for entry in there or entries)
    common, count = kinds.most_common(1)[0]
    height, width, kind, packed = common
    if count < _ALIKE * kinds.total() or packed or kind not in _TYPES:
        raise refusal(folder, "holds planes that differ, or are in colour", "export the raw film")
    if not there:
        lost = entries[0].file.name
        raise refusal(folder, f"is cut short: {lost} is missing or lacks planes", AGAIN)
    there = [entry for entry in there if entry.kind == common]  # others are damaged
    names = [name for name in there[0].axes if name in _LETTERS]
    others = sorted({name for entry in there for name in entry.axes} - set(names))
    if others:
        raise refusal(folder, f"has an axis {others[0]!r}", "export one film of T,Y,X")
    shape, places = _grid(names, entries, there)
    axes = "".join(_LETTERS[name] for name in names)
    dtype = np.dtype(_TYPES[kind])
    source = NdtiffSource(folder, f"{axes}YX", (*shape, height, width), dtype, places)
    if index_whole and len(there) == len(entries):
        index_whole = not _planes_after(folder, entries)
    source.labels = {_LETTERS[name]: _words(name, entries) for name in names}
    source.gaps = _gaps(math.prod(shape), places, entries, sizes, index_whole=index_whole)
    return source


def _read_index(folder: Path) -> tuple[list[_Entry], bool]:
    """The entries up to the first that cannot be read, and whether these are all."""
    entries, read_bytes = [], 0
    for axes, file, start, width, height, kind, packed, *_ in read_ndtiff_index(folder / INDEX):
        if not (isinstance(axes, dict) and axes):
            break
        entries.append(_Entry(axes, folder / file, start, (height, width, kind, packed)))
    with (folder / INDEX).open("rb") as index:
        for _ in entries:
            for _ in range(2):
                index.seek(int.from_bytes(index.read(4), "little"), 1)
            index.seek(_FIELDS_BYTES - 8, 1)
        read_bytes = index.tell()
    return entries, read_bytes == (folder / INDEX).stat().st_size


def _grid(
    names: list[str], entries: list[_Entry], there: Iterable[_Entry]
) -> tuple[tuple[int, ...], dict[int, tuple[Path, int]]]:
    """Lengths of the axes, and file and offset of each plane by its place in their grid.

    Words on an axis are numbered in order of appearance.
    """
    words: dict[str, dict[str, int]] = {name: {} for name in names}

    def place(entry: _Entry) -> tuple[int, ...]:
        return tuple(
            words[name].setdefault(str(at), len(words[name])) if isinstance(at, str) else int(at)
            for name, at in ((name, entry.axes.get(name, 0)) for name in names)
        )

    for entry in entries:
        place(entry)  # words of planes that are missing count too
    found = {place(entry): (entry.file, entry.start) for entry in there}
    known = np.array([place(entry) for entry in entries], np.int64).reshape(len(entries), -1)
    first = known.min(axis=0)
    shape = tuple((known.max(axis=0) - first + 1).tolist())
    if not names:
        return (), {0: next(iter(found.values()))}
    flat = np.ravel_multi_index((np.array(list(found), np.int64) - first).T, shape)
    order = np.argsort(flat)
    values = list(found.values())
    return shape, {int(flat[i]): values[i] for i in order.tolist()}


def _words(name: str, entries: list[_Entry]) -> tuple[str, ...]:
    """The words on an axis in order of appearance; empty if it is counted in numbers."""
    places = (entry.axes.get(name) for entry in entries)
    return tuple(dict.fromkeys(place for place in places if isinstance(place, str)))


def _planes_after(folder: Path, entries: list[_Entry]) -> bool:
    """Whether the folder has planes or files that the index does not name."""
    named = {entry.file.name for entry in entries}
    files = (file for file in folder.glob("*_NDTiffStack*.tif") if not is_result_by_name(file))
    if any(file.name not in named for file in files):
        return True
    last = entries[-1].file
    starts = [entry.start for entry in entries if entry.file == last]
    try:
        with TiffFile(last) as tif:
            page = tif.pages.get(len(starts))  # a file that was not finished links to no page
            return page.shape == tif.pages.first.shape and page.dataoffsets[0] not in starts
    except damage():
        return False


def _gaps(
    count: int,
    places: dict[int, tuple[Path, int]],
    entries: list[_Entry],
    sizes: dict[Path, int],
    *,
    index_whole: bool,
) -> Gaps | None:
    """What is missing of a grid of ``count`` planes."""
    if len(places) == count and index_whole:
        return None
    present = np.fromiter(places, np.int64, len(places))
    state: GapsState = "lacking" if index_whole else "open end"
    broken = next((entry for entry in entries if not entry.fits(sizes)), None)
    if not index_whole:
        reason = f"its {INDEX} ends before its files do, or is damaged"
    elif broken is None:
        reason = f"its {INDEX} names {len(places):,} of {count:,} planes"
    elif broken.file not in sizes:
        reason = f"{broken.file.name} is not there"
    else:
        reason = f"{broken.file.name} is cut short, or its entry in {INDEX} is damaged"
    remedy = f"{AGAIN} if it was not an acquisition that was stopped" if broken is None else AGAIN
    return Gaps(present, reason, remedy, state)
