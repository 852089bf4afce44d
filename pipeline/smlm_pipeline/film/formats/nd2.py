"""Read Nikon's ND2 films with the package nd2."""

from __future__ import annotations

import math
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.acquisition_date import date_of_julian_day
from smlm_pipeline.film.formats.refusals import AGAIN, extra, refusal
from smlm_pipeline.film.formats.source import Gaps, GapsState, Source
from smlm_pipeline.film.formats.written import written_bytes

_CHUNK = struct.Struct("<IIQ")
"""The head of a chunk: a mark, the lengths of its name and of its content."""

_CHUNK_MARK, _FRAME_NAME = 0x0ABECEDA, b"ImageDataSeq|"

_ZEROS_BYTES = 4096
"""Zeros at the end that show an interrupted copy: the last bytes are the place of the map."""

_PIXELS_START = 24 + 4072
"""Where the pixels of a frame begin in its chunk."""

_MAP_ERRORS = (ValueError, EOFError, struct.error, OSError)
"""Errors of nd2 where the map of chunks at the end of a file was cut off."""


class _Unmapped:
    """A plain file for nd2, which would map a path: all pages it reads would count as memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size_bytes = written_bytes(path, _ZEROS_BYTES)
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int = -1) -> bytes:
        if size > self.size_bytes - self._file.tell():  # nd2 would fill the rest with zeros
            raise EOFError
        content = self._file.read(size)
        if len(content) < size:  # the file has shrunk since it was opened
            raise EOFError
        return content


class Nd2Source(Source):
    """Frames of an ND2 file, which interleaves the channels of a frame."""

    def __init__(self, path: Path, opened: _Unmapped, file: Any) -> None:
        self.path, self._opened, self._file = path, opened, file
        whole = _find_chunks(file, opened)
        sizes = {axis: size for axis, size in file.sizes.items() if size > 1 or axis in "YX"}
        if "S" in sizes:
            raise refusal(path, "is a colour (RGB) image", "export the raw film of the camera")
        sizes["Y"], sizes["X"] = sizes.pop("Y"), sizes.pop("X")
        self._channels = sizes.get("C", 1)
        self.dtype = np.dtype(file.dtype).newbyteorder("=")
        frames = None if file.is_legacy else _frames(file, opened, self.dtype.itemsize)
        loops = [axis for axis in sizes if axis not in "CYX"]
        if frames is not None and len(frames) and len(loops) < 2:  # more than one loop counts
            last = max(int(frames[-1]) + 1, int(file.attributes.sequenceCount or 1))
            axis = loops[0] if loops else "T"
            sizes = {axis: max(last, sizes.pop(axis, 1)), **sizes}
        self.axes, self.shape = "".join(sizes), tuple(sizes.values())
        if frames is not None:
            self.gaps = self._missing(frames, whole=whole)
        voxel = file.voxel_size()
        stated = pixel_size.edges(voxel.x, voxel.y, "um", "the calibration")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([stated])
        self.acquired = _date(file)

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()
        self._opened.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._opened.closed

    @property
    def decoded_bytes(self) -> int:
        """A frame with all channels."""
        return int(super().decoded_bytes * self._channels)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Copy the planes out of their frames; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            frame, channel = divmod(plane, self._channels)
            pixels = self._file.read_frame(frame)
            read[index] = pixels.reshape(self._channels, *self.shape[-2:])[channel, y, x]
        return read

    def _missing(self, frames: NDArray[np.int64], *, whole: bool) -> Gaps | None:
        """What is missing, where only ``frames`` are there; nd2 would read others as zeros."""
        count = math.prod(self.shape[:-2]) // self._channels
        frames = frames[frames < count]
        if len(frames) == count and whole:
            return None
        planes = (frames[:, None] * self._channels + np.arange(self._channels)).ravel()
        if whole:
            reason = f"the file has {len(frames):,} of the {count:,} frames that it states"
            remedy = f"{AGAIN} if it was not an acquisition that was stopped"
            return Gaps(planes, reason, remedy)
        state: GapsState = "cut" if len(frames) == count else "lacking"
        return Gaps(planes, "it is cut short", AGAIN, state)


def open_nd2(path: Path) -> Nd2Source:
    """Open an ND2 film.

    Raises
    ------
    FilmError
        If the package nd2 is missing, or the file is no film of grey frames.
    """
    with extra(path, "nd2"):
        import nd2  # an extra, which most films do not need
    with ExitStack() as on_error:
        opened = _Unmapped(path)
        on_error.callback(opened.close)
        source = Nd2Source(path, opened, nd2.ND2File(opened))
        on_error.pop_all()
        return source


def _find_chunks(file: Any, opened: _Unmapped) -> bool:
    """Whether the file has its map of chunks; of one that was cut off, a map is made."""
    if file.is_legacy:
        return True
    reader = file._rdr  # noqa: SLF001 - nd2 has no other way to the map
    try:
        return bool(reader.chunkmap)
    except _MAP_ERRORS:
        reader._chunkmap = _scanned(opened)  # noqa: SLF001
        return False


def _date(file: Any) -> str | None:
    """When the film began; the date in words that the file states too is the local one."""
    if file.is_legacy:
        return None
    # its public frame_metadata(0) needs more than the date, and fails where that is not there
    time = file._rdr._cached_global_metadata().get("time", {})  # noqa: SLF001
    return date_of_julian_day(time.get("absoluteJulianDayNumber", -1.0))


def _scanned(opened: _Unmapped) -> dict[bytes, tuple[int, int]]:
    """Offset and size of each chunk that is whole, by its name, from the first chunk on."""
    chunks, place = {}, 0
    while place + _CHUNK.size <= opened.size_bytes:
        opened.seek(place)
        mark, name_bytes, content_bytes = _CHUNK.unpack(opened.read(_CHUNK.size))
        end = place + _CHUNK.size + name_bytes + content_bytes
        if mark != _CHUNK_MARK or end > opened.size_bytes:
            break
        name = opened.read(name_bytes).partition(b"!")
        chunks[name[0] + name[1]] = (place, content_bytes)
        place = end
    return chunks


def _frames(file: Any, opened: _Unmapped, itemsize: int) -> NDArray[np.int64]:
    """Numbers of the frames that are in the file, ascending."""
    facts = file.attributes
    row_bytes = facts.widthBytes or (facts.widthPx or 0) * facts.componentCount * itemsize
    plain = facts.compressionType != "lossless"
    pixels_bytes = facts.heightPx * row_bytes if plain else 0
    chunkmap = file._rdr.chunkmap  # noqa: SLF001 - nd2 has no other way to the map
    numbers = [
        int(name[len(_FRAME_NAME) : -1])
        for name, (start, _) in chunkmap.items()
        if name.startswith(_FRAME_NAME)
        and start + _PIXELS_START + pixels_bytes <= opened.size_bytes
    ]
    return np.array(sorted(numbers), np.int64)
