"""Read NDTiff folders of Micro-Manager 2: an index gives the file and offset of each plane.

The index alone is read: tifffile's reader of this format needs NumPy 2, and the package
ndtiff has had no release since 2024.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, read_ndtiff_index

from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import SourceAtRest, squeezed
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_tiff

INDEX = "NDTiff.index"
"""Name of the index beside the files of a film."""

_LETTERS = {"position": "P", "time": "T", "channel": "C", "z": "Z"}
_TYPES = {0: np.uint8, 1: np.uint16, 3: np.uint16, 4: np.uint16, 5: np.uint16, 6: np.uint16}


class NdtiffSource(SourceAtRest):
    """Planes of an NDTiff folder, each at an offset in one of the files."""

    def __init__(
        self,
        path: Path,
        axes: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        places: list[tuple[Path, int]],
    ) -> None:
        self.path, self._places, self._plane_px = path, places, shape[-2:]
        self.axes, self.shape = squeezed(axes, shape)
        self.dtype = dtype
        with TiffFile(places[0][0]) as tif:
            self.pixel_size_nm, self.pixel_doubt = size_of_tiff(tif)

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


def open_ndtiff(folder: Path) -> NdtiffSource:
    """Open the folder by its index and check that all planes are in its files.

    Raises
    ------
    FilmError
        If planes are missing or differ in size or type, or the film is in colour.
    """
    entries = list(read_ndtiff_index(folder / INDEX))
    if not entries:
        raise refusal(folder, f"has an {INDEX} that names no planes", AGAIN)
    kinds = {(height, width, kind, packed) for _, _, _, width, height, kind, packed, *_ in entries}
    height, width, kind, packed = min(kinds)
    if len(kinds) > 1 or packed or kind not in _TYPES:
        raise refusal(folder, "holds planes that differ, or are in colour", "export the raw film")
    names = [name for name in entries[0][0] if name in _LETTERS]
    others = sorted({name for axes, *_ in entries for name in axes} - set(names))
    if others:
        raise refusal(folder, f"has an axis {others[0]!r}", "export one film of T,Y,X")
    dtype = np.dtype(_TYPES[kind])
    places = _places(folder, names, entries)
    shape, ordered = _grid(folder, places)
    for file in {file for file, _ in ordered}:
        last = max(start for plane_file, start in ordered if plane_file == file)
        if not file.is_file() or file.stat().st_size < last + height * width * dtype.itemsize:
            raise refusal(folder, f"is cut short: {file.name} is missing or lacks planes", AGAIN)
    axes = "".join(_LETTERS[name] for name in names)
    return NdtiffSource(folder, f"{axes}YX", (*shape, height, width), dtype, ordered)


def _places(
    folder: Path, names: list[str], entries: Iterable[tuple[Any, ...]]
) -> dict[tuple[int, ...], tuple[Path, int]]:
    """File and offset of each plane by its indices; words are numbered in order of appearance."""
    words: dict[str, dict[str, int]] = {name: {} for name in names}
    places = {}
    for axes, file, start, *_ in entries:
        key = tuple(
            words[name].setdefault(axes[name], len(words[name]))
            if isinstance(axes[name], str)
            else int(axes[name])
            for name in names
        )
        places[key] = (folder / file, start)
    return places


def _grid(
    folder: Path, places: dict[tuple[int, ...], tuple[Path, int]]
) -> tuple[tuple[int, ...], list[tuple[Path, int]]]:
    """Lengths of the axes, and file and offset of all planes in order."""
    ranges = [range(min(along), max(along) + 1) for along in zip(*places, strict=True)]
    ordered = [places[key] for key in product(*ranges) if key in places]
    shape = tuple(len(indices) for indices in ranges)
    count = math.prod(shape)
    if len(ordered) < count:
        problem = f"lacks {count - len(ordered)} of the {count} planes of its axes"
        raise refusal(folder, problem, AGAIN)
    return shape, ordered
