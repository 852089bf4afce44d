"""Read Hamamatsu's DCIMG films, whose cameras keep four pixels of a frame beside it.

The format is not published, and the package dcimg has had no release since 2020. Layout after
that package (https://github.com/lens-biophotonics/dcimg) and PYME/IO/dcimg.py.
"""

from __future__ import annotations

import struct
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.flat import FlatSource, Layout
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.written import written_bytes

MAGIC = b"DCIMG"
"""First bytes of a DCIMG file."""

_OLD, _NEW = 0x7, 0x1000000
_TYPES = {1: "u1", 2: "<u2"}
_EXPORT = "export the film as TIFF in HCImage or with Hamamatsu's DCIMG tools"

_CAMERA_ROW = 1023
"""Row of the whole sensor whose first four pixels the newer format moves to the frame's end."""

_FOOTER_BYTES, _MOVED_IN_FOOTER = 32, 12


class DcimgSource(FlatSource):
    """Frames with the four moved pixels put back at the start of their row."""

    def __init__(self, path: Path, layout: Layout, row_px: int, start: int, step: int) -> None:
        super().__init__(path, layout)
        self._row_px, self._moved_starts, self._moved_step = row_px, start, step

    def plane(self, file: BufferedReader, plane: int) -> NDArray[Any]:
        """One plane, (Y, X), with its own four pixels; see `FlatSource.plane`."""
        pixels = super().plane(file, plane)
        if 0 <= self._row_px < len(pixels):
            size = 4 * pixels.itemsize
            file.seek(self._moved_starts + plane * self._moved_step)
            moved = file.read(size)
            if len(moved) < size:
                raise EOFError
            count = min(4, pixels.shape[1])
            pixels[self._row_px, :count] = np.frombuffer(moved, pixels.dtype)[:count]
        return pixels


def open_dcimg(path: Path) -> DcimgSource:
    """Open a DCIMG film of one session.

    Raises
    ------
    FilmError
        If the file is cut short, or of another version.
    """
    with path.open("rb") as file:
        header = file.read(1 << 16)
        (version,) = struct.unpack_from("<I", header, 8)
        sessions, _, session = struct.unpack_from("<III", header, 32)
        if version not in (_OLD, _NEW):
            raise refusal(path, f"is of the unknown DCIMG version {version:#x}", _EXPORT)
        if sessions > 1:
            raise refusal(path, f"holds {sessions} sessions", _EXPORT)
        if version == _OLD:
            return _open_old(path, file, header, session)
        return _open_new(path, header, session)


def _open_old(path: Path, file: BufferedReader, header: bytes, session: int) -> DcimgSource:
    count, depth, _, width_px, row_bytes, height_px, image_bytes = struct.unpack_from(
        "<7I", header, session + 32
    )
    (data_starts,) = struct.unpack_from("<I", header, session + 68)
    (session_bytes,) = struct.unpack_from("<Q", header, session + 72)
    shape, start = (count, height_px, width_px), session + data_starts
    layout = _layout(path, shape, (image_bytes, row_bytes), start, depth)
    footer = session + session_bytes
    file.seek(footer)
    values = file.read(48)
    if len(values) < 48 or not any(values):
        raise refusal(path, "is cut short: its end, with pixels of all frames, is missing", AGAIN)
    second = footer + struct.unpack_from("<Q", values, 8)[0]
    (footer_bytes,) = struct.unpack_from("<I", values, 40)
    file.seek(second)
    places = file.read(112)
    if len(places) < 112:
        raise refusal(path, "is cut short: its end, with pixels of all frames, is missing", AGAIN)
    (moved,) = struct.unpack_from("<Q", places, 88)
    (in_frame,) = struct.unpack_from("<I", places, 100)
    step = 4 * layout.dtype.itemsize
    has_moved = footer_bytes == moved + step * count
    if not has_moved and written_bytes(path, step) <= second + 88:
        raise refusal(path, "ends in zeros: its end, with pixels of all frames, is missing", AGAIN)
    return DcimgSource(
        path, layout, in_frame // row_bytes if has_moved else -1, footer + moved, step
    )


def _open_new(path: Path, header: bytes, session: int) -> DcimgSource:
    count, depth, _, width_px, height_px, row_bytes, image_bytes = struct.unpack_from(
        "<7I", header, session + 60
    )
    (data_starts,) = struct.unpack_from("<Q", header, session + 96)
    (frame_bytes,) = struct.unpack_from("<I", header, session + 116)
    if not image_bytes <= frame_bytes <= image_bytes + 4096:  # not all programs state it
        frame_bytes = image_bytes + _FOOTER_BYTES
    shape, start = (count, height_px, width_px), session + data_starts
    layout = _layout(path, shape, (frame_bytes, row_bytes), start, depth)
    _, _, top_px, sensor_height_px = struct.unpack_from("<4H", header, session + 712)
    binning = max(1, sensor_height_px // height_px)
    row_px = (_CAMERA_ROW - top_px) // binning
    if frame_bytes < image_bytes + _FOOTER_BYTES:  # cameras at USB 3 move no pixels
        row_px = -1
    return DcimgSource(path, layout, row_px, start + image_bytes + _MOVED_IN_FOOTER, frame_bytes)


def _layout(
    path: Path, shape: tuple[int, ...], strides_bytes: tuple[int, int], start: int, depth: int
) -> Layout:
    if depth not in _TYPES:
        raise refusal(path, f"holds values of {depth} bytes; 1 or 2 are known", _EXPORT)
    if strides_bytes[1] < shape[2] * depth or strides_bytes[0] < strides_bytes[1] * shape[1]:
        raise refusal(path, f"has a header of impossible size {shape}", AGAIN)
    return Layout("TYX", shape, strides_bytes, start, np.dtype(_TYPES[depth]))
