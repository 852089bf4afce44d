"""Read Micro-Manager's MMStack files by their index maps, over all files and positions.

https://micro-manager.org/Micro-Manager_File_Formats
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from smlm_pipeline.film.formats.acquisition_date import date_of_summary, date_of_tiff
from smlm_pipeline.film.formats.own_results import is_result_by_name
from smlm_pipeline.film.formats.pixel_size import of_keys, settle
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps, Source, SourceAtRest, squeezed
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_tiff
from smlm_pipeline.film.formats.tiff_stated import PLANES_MAX, lost_part

_INDEX_LINK, _INDEX, _SUMMARY = 54773648, 3453623, 2355492
"""Numbers that mark the parts of the header."""

_HEADER_BYTES, _ENTRY_BYTES = 40, 20

_STRIP_OFFSETS = 273
"""TIFF's tag of the place of the values."""

_COUNTS = {"P": "Positions", "T": "Frames", "C": "Channels", "Z": "Slices"}
"""Keys of the summary that state the lengths of the axes."""

_COLUMNS = {"C": 0, "Z": 1, "T": 2, "P": 3}
"""Columns of the index map."""

_IDENTITY = ("UUID", "Prefix", "StartTime", "Time")
"""Keys of the summary that are equal in all files of one acquisition, and only there."""


@dataclass(frozen=True)
class Part:
    """One file: its summary, and for each plane C, Z, T, P and offset, (N, 5) int64."""

    path: Path
    byteorder: str
    summary: Mapping[str, Any]
    index: NDArray[np.int64]

    @property
    def acquisition(self) -> tuple[str, ...]:
        """What the files of one acquisition have in common."""
        stated = tuple(str(self.summary.get(key, "")) for key in _IDENTITY)
        return stated if any(stated) else (self.path.name.split("_MMStack")[0],)


class StackSource(SourceAtRest):
    """Planes of one acquisition, each in one of its files."""

    def __init__(self, path: Path, parts: list[Part]) -> None:
        """The first of the parts is the one that the user named, if any."""
        self.path, self._parts = path, parts
        with TiffFile(parts[0].path) as tif:
            page = tif.pages.first
            if page.ndim != 2:
                problem, remedy = "is a colour (RGB) image", "export the raw film of the camera"
                raise refusal(parts[0].path, problem, remedy)
            self._plane_px = page.shape
            self.dtype = np.dtype(page.dtype).newbyteorder("=")
            self.pixel_size_nm, self.pixel_doubt = size_of_tiff(tif)
            self.acquired = date_of_summary(parts[0].summary) or date_of_tiff(tif)
        if self.pixel_size_nm is None and self.pixel_doubt is None:
            stated = (of_keys(part.summary, "um", "of Micro-Manager's summary") for part in parts)
            self.pixel_size_nm, self.pixel_doubt = settle(stated)
        self.files = frozenset(part.path.name for part in parts)
        lengths = {axis: _length(axis, parts) for axis in _COUNTS}
        self.axes, self.shape = squeezed(f"{''.join(lengths)}YX", (*lengths.values(), *page.shape))
        if math.prod(lengths.values()) > PLANES_MAX:
            problem = f"has a summary that states {math.prod(lengths.values()):,} planes"
            raise refusal(path, f"{problem}, more than {PLANES_MAX:,}", "save it again")
        self._files = np.full(math.prod(lengths.values()), -1, np.int64)
        self._offsets = np.zeros_like(self._files)
        plane_bytes = math.prod(self._plane_px) * self.dtype.itemsize
        for number, part in reversed(list(enumerate(parts))):  # what was named has precedence
            columns = [part.index[:, _COLUMNS[axis]] for axis in lengths]
            places = np.ravel_multi_index(tuple(columns), tuple(lengths.values()))
            ends = part.index[:, 4] + plane_bytes
            there = (part.index[:, 4] > 0) & (ends <= part.path.stat().st_size)
            self._files[places[there]], self._offsets[places[there]] = number, part.index[there, 4]
        present = np.flatnonzero(self._files >= 0)
        if len(present) < len(self._files):
            unseen = sorted(set(range(lengths["P"])) - set(_positions(parts)))
            nowhere = [f"no file holds position {place}" for place in unseen[:1]]
            reason = "; ".join([*nowhere, *_why_missing(parts, lengths)])
            self.gaps = Gaps(present, reason, AGAIN)
        self.labels = _labels(parts[0].summary)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read the planes by the directory of each; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for number in np.unique(self._files[planes.start : planes.stop : planes.step]):
            part = self._parts[number]
            stored = self.dtype.newbyteorder(part.byteorder)
            with part.path.open("rb") as file:
                for index, plane in enumerate(planes):
                    if self._files[plane] == number:
                        start = _values_start(file, int(self._offsets[plane]), part.byteorder)
                        values = np.fromfile(
                            file, stored, math.prod(self._plane_px), offset=start - file.tell()
                        )
                        read[index] = values.reshape(self._plane_px)[y, x]
        return read


def is_part(path: Path) -> bool:
    """Whether a file has the header of an MMStack file that was closed."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        return _index_offset(file.read(_HEADER_BYTES)) > 0
    return False


def open_stack(path: Path) -> StackSource | None:
    """Open the acquisition of a file; its position is chosen. None if it has no index map.

    Raises
    ------
    FilmError or any error of tifffile
        If the files cannot be read.
    """
    own = _load(path)
    if own is None:
        return None
    others = (file for file in sorted(path.parent.iterdir()) if file.suffix.lower()[:4] == ".tif")
    parts = [own, *_parts_of(own, (file for file in others if file.name != path.name))]
    source = StackSource(path, parts)
    positions = _positions([own])
    if "P" in source.axes and len(positions) == 1:
        source.named = {"P": positions[0]}
    return source


def open_stack_folder(folder: Path, files: list[Path]) -> Source:
    """Open the one acquisition in a folder of MMStack files.

    Raises
    ------
    FilmError or any error of tifffile
        If other films are in the folder, or a file cannot be read.
    """
    own = _load(files[0])
    if own is None:
        raise refusal(files[0], "has a damaged index map", AGAIN)
    parts = [own, *_parts_of(own, files[1:])]
    _refuse_planes_twice(folder, parts)
    known = {part.path for part in parts}
    others = [file.name for file in files if file not in known]
    if others:
        problem = (
            f"holds {own.path.name} and files that are no part of it ({', '.join(others[:3])})"
        )
        raise refusal(folder, problem, "name a file of the film, or choose with --pattern")
    source = StackSource(folder, parts)
    positions = _positions(parts)
    if "P" in source.axes and len(positions) == 1:
        source.named = {"P": positions[0]}
    return source


def _refuse_planes_twice(folder: Path, parts: list[Part]) -> None:
    """Refuse files that hold the same planes, as two acquisitions of one name do."""
    owners: dict[tuple[int, ...], Part] = {}
    for part in parts:
        for plane in map(tuple, part.index[:, :4].tolist()):
            other = owners.setdefault(plane, part)
            if other is not part:
                problem = f"holds {other.path.name} and {part.path.name} with the same frames"
                raise refusal(folder, problem, "choose the files of one film with --pattern")


def _parts_of(own: Part, files: Iterable[Path]) -> list[Part]:
    """The other files of an acquisition among files of its folder."""
    found = [_load(file) for file in files if not is_result_by_name(file)]
    return [part for part in found if part and part.acquisition == own.acquisition]


def _load(path: Path) -> Part | None:
    """Header of a file; None if it is no MMStack file or was not closed."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            offset = _index_offset(header)
            if not offset:
                return None
            byteorder = _byteorder(header)
            mark, length = struct.unpack(f"{byteorder}II", header[32:40])
            summary = json.loads(file.read(length)) if mark == _SUMMARY else {}
            file.seek(offset)
            mark, count = struct.unpack(f"{byteorder}II", file.read(8))
            entries = np.frombuffer(file.read(count * _ENTRY_BYTES), f"{byteorder}u4")
    except (OSError, struct.error, ValueError):
        return None
    whole = len(entries) // 5 * 5
    if mark != _INDEX or not whole or not isinstance(summary, dict):
        return None
    return Part(path, byteorder, summary, entries[:whole].reshape(-1, 5).astype(np.int64))


def _byteorder(header: bytes) -> str:
    return ">" if header[:2] == b"MM" else "<"


def _index_offset(header: bytes) -> int:
    """Place of the index map; 0 if it is no such file, or was not closed."""
    if header[:2] not in (b"II", b"MM") or len(header) < _HEADER_BYTES:
        return 0
    mark, offset = struct.unpack(f"{_byteorder(header)}II", header[8:16])
    return int(offset) if mark == _INDEX_LINK else 0


def _values_start(file: BinaryIO, directory: int, byteorder: str) -> int:
    """Place of a plane's values, from its directory in the file."""
    file.seek(directory)
    (count,) = struct.unpack(f"{byteorder}H", file.read(2))
    entries = file.read(12 * count)
    for start in range(0, len(entries) - 11, 12):
        tag, kind, parts, value = struct.unpack(f"{byteorder}HHII", entries[start : start + 12])
        if tag == _STRIP_OFFSETS and kind == 4 and parts == 1:
            return int(value)
    raise ValueError


def _length(axis: str, parts: list[Part]) -> int:
    """Length of an axis: what the summary states, or what is there if that is more."""
    found = max(int(part.index[:, _COLUMNS[axis]].max()) for part in parts) + 1
    stated = parts[0].summary.get(_COUNTS[axis], 1)
    return max(found, stated if isinstance(stated, int) else 1)


def _positions(parts: list[Part]) -> list[int]:
    """Positions that the files hold."""
    columns = [part.index[:, _COLUMNS["P"]] for part in parts]
    return [int(place) for place in np.unique(np.concatenate(columns))]


def _why_missing(parts: list[Part], lengths: Mapping[str, int]) -> list[str]:
    """The file that would continue the last one of a position, or the end of the acquisition."""
    planes = math.prod(lengths.values()) // lengths["P"]
    for position in _positions(parts):
        own = [part for part in parts if position in part.index[:, _COLUMNS["P"]]]
        if sum(int((part.index[:, _COLUMNS["P"]] == position).sum()) for part in own) < planes:
            first = min((part.path for part in own), key=lambda path: len(path.name))
            name = lost_part(first, {part.path.name for part in parts})
            if first.with_name(name).is_file():  # its index map, at its end, is lost
                return [f"{name} is cut short"]
            return [f"{name} is not there, or the acquisition was stopped"]
    return []


def _labels(summary: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of channels and positions."""
    channels = summary.get("ChNames")
    listed = summary.get("StagePositions") or summary.get("InitialPositionList")
    labels = {"C": channels if isinstance(channels, list) else []}
    positions = listed if isinstance(listed, list) else []
    labels["P"] = [place.get("Label", "") for place in positions if isinstance(place, Mapping)]
    return {axis: tuple(map(str, names)) for axis, names in labels.items() if any(names)}
