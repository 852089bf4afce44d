"""Find the blocks of a CZI file, decode one, and read what the file states of the film."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.acquisition_date import iso_date
from smlm_pipeline.film.formats.pixel_size import Edges
from smlm_pipeline.film.formats.refusals import extra, refusal
from smlm_pipeline.film.formats.written import written_bytes

MAGIC = b"ZISRAWFILE"
"""First bytes of a CZI file."""

_SEGMENT_BYTES, _ENTRY_BYTES, _DIMENSION_BYTES = 32, 32, 20
_ALIGNMENT_BYTES = 32
"""Segments end at multiples of it, after as many zeros as that takes."""
_TYPES = {0: "<u1", 1: "<u2", 2: "<f4", 12: "<u4"}
_RAW, _JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_HEADED = 0, 1, 2, 4, 5, 6
_ENTRY = "<2siqiiBB4si"
"""Schema, type, start, part, compression, pyramid, two reserved, number of dimensions."""

_Fields: TypeAlias = tuple[Any, ...]
_Sizes: TypeAlias = "dict[str, tuple[int, int, int]]"

_EXPORT = "export the film as OME-TIFF in ZEN"


@dataclass(frozen=True)
class Block:
    """A tile of a plane in full resolution; ``places`` has its index on each other axis."""

    start_byte: int
    compression: int
    dtype: np.dtype[Any]
    places: dict[str, int]
    mosaic: int
    y_px: int
    x_px: int
    height_px: int
    width_px: int


@dataclass(frozen=True)
class Description:
    """Lengths of axes, names of channels, pixel size and date, as the metadata state them."""

    counts: dict[str, int]
    channels: tuple[str, ...] = ()
    edges: Edges | None = None
    acquired: str | None = None


def blocks(path: Path) -> tuple[list[Block], bool]:
    """The blocks of full resolution, and whether the file's directory of them is there.

    Without a directory, as of a file that was cut while it was written or copied, the blocks are
    found one after the other, up to zeros at the end, with which a copy of full size is filled.

    Raises
    ------
    FilmError
        If the frames are in colour or in other files.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_SEGMENT_BYTES + 80)
        (part, directory) = struct.unpack_from("<iq", header, _SEGMENT_BYTES + 48)
        entries = _directory(file, directory) if 0 < directory < size_bytes else None
        found = (
            _listed(entries) if entries else _walked(file, written_bytes(path, _ALIGNMENT_BYTES))
        )
        blocks = [_block(path, part, *each) for each in found]
    return [block for block in blocks if block], entries is not None


def _directory(file: BinaryIO, starts: int) -> bytes | None:
    """The entries of the directory, or None if it is not whole."""
    file.seek(starts)
    segment = file.read(_SEGMENT_BYTES + 128)
    if not segment.startswith(b"ZISRAWDIRECTORY") or len(segment) < _SEGMENT_BYTES + 128:
        return None
    allocated, used = struct.unpack_from("<qq", segment, 16)
    entry_bytes = (used or allocated) - 128
    entries = file.read(max(0, entry_bytes))
    return entries if len(entries) == entry_bytes else None


def _listed(entries: bytes) -> Iterator[tuple[_Fields, _Sizes]]:
    """Fields and dimensions of each entry."""
    place = 0
    while place + _ENTRY_BYTES <= len(entries) and entries[place : place + 2] == b"DV":
        fields = struct.unpack_from(_ENTRY, entries, place)
        place += _ENTRY_BYTES
        yield fields, _dimensions(entries, place, fields[-1])
        place += fields[-1] * _DIMENSION_BYTES


def _walked(file: BinaryIO, size_bytes: int) -> Iterator[tuple[_Fields, _Sizes]]:
    """Fields and dimensions of the blocks that lie in the file to their end."""
    place = 0
    while place + _SEGMENT_BYTES <= size_bytes:
        file.seek(place)
        head = file.read(_SEGMENT_BYTES + 16 + 256)
        name, allocated, _ = struct.unpack_from("<16sqq", head)
        last, place = place, place + _SEGMENT_BYTES + allocated
        if not name.startswith(b"ZISRAW") or allocated < 0 or place > size_bytes:
            return
        if name.startswith(b"ZISRAWSUBBLOCK"):
            ((fields, sizes),) = list(_listed(head[_SEGMENT_BYTES + 16 :]))[:1]
            yield (*fields[:2], last, *fields[3:]), sizes


def _dimensions(entries: bytes, place: int, count: int) -> _Sizes:
    """Start, size and stored size along each dimension of a block."""
    found = struct.iter_unpack("<4siifi", entries[place : place + count * _DIMENSION_BYTES])
    return {
        name.rstrip(b"\0").decode("ascii"): (start, size, stored)
        for name, start, size, _, stored in found
    }


def _block(path: Path, part: int, fields: _Fields, sizes: _Sizes) -> Block | None:
    """The block of an entry; None for a smaller copy of other blocks."""
    _, kind, start, file_part, compression, pyramid, *_ = fields
    if file_part != part:
        raise refusal(path, "keeps its frames in other files", _EXPORT)
    if pyramid or any(stored not in (0, size) for _, size, stored in sizes.values()):
        return None
    if kind not in _TYPES:
        raise refusal(path, f"holds colours or values of the unknown type {kind}", _EXPORT)
    (y, height, _), (x, width, _) = sizes.pop("Y"), sizes.pop("X")
    mosaic = sizes.pop("M", (0, 1, 0))[0]
    places = {letter: first for letter, (first, *_) in sizes.items()}
    return Block(start, compression, np.dtype(_TYPES[kind]), places, mosaic, y, x, height, width)


def decoded(path: Path, file: BinaryIO, block: Block) -> NDArray[Any]:
    """The values of a block, (Y, X) of its type.

    Raises
    ------
    FilmError
        If imagecodecs is needed and missing, or the compression is unknown.
    EOFError or any error of imagecodecs
        If the block is damaged.
    """
    file.seek(block.start_byte)
    header = file.read(_SEGMENT_BYTES + 16 + _ENTRY_BYTES)
    if not header.startswith(b"ZISRAWSUBBLOCK") or len(header) < _SEGMENT_BYTES + 48:
        raise EOFError
    metadata_bytes, _, data_bytes = struct.unpack_from("<iiq", header, _SEGMENT_BYTES)
    (dimensions,) = struct.unpack_from("<i", header, _SEGMENT_BYTES + 16 + 28)
    entry_bytes = max(240, _ENTRY_BYTES + dimensions * _DIMENSION_BYTES)
    file.seek(block.start_byte + _SEGMENT_BYTES + 16 + entry_bytes + metadata_bytes)
    size_bytes = block.height_px * block.width_px * block.dtype.itemsize
    if not 0 <= data_bytes <= 2 * size_bytes + 4096:
        raise EOFError
    data = file.read(data_bytes)
    if len(data) < data_bytes:
        raise EOFError
    raw = block.compression == _RAW
    values = data if raw else _decompressed(path, data, block, size_bytes)
    pixels = np.frombuffer(values, block.dtype)
    return pixels.reshape(block.height_px, block.width_px)


def _decompressed(path: Path, data: bytes, block: Block, size_bytes: int) -> bytes:
    with extra(path, "czi"):
        import imagecodecs  # an extra, which most films do not need
    if block.compression in (_JPEG, _JPEG_XR):
        decode = (
            imagecodecs.jpeg_decode if block.compression == _JPEG else imagecodecs.jpegxr_decode
        )
        return bytes(np.ascontiguousarray(decode(data)))
    if block.compression == _LZW:
        return bytes(imagecodecs.lzw_decode(data, out=size_bytes))
    if block.compression not in (_ZSTD, _ZSTD_HEADED):
        problem = f"is compressed in the unknown form {block.compression}"
        raise refusal(path, problem, _EXPORT)
    start, in_halves = 0, False
    if block.compression == _ZSTD_HEADED:  # its first byte is the size of its own header
        start = data[0]
        in_halves = start >= 3 and data[1] == 1 and bool(data[2] & 1)
    values = bytes(imagecodecs.zstd_decode(data[start:], out=size_bytes))
    if in_halves:  # the low bytes of all values come first, then the high ones
        halves = np.frombuffer(values, np.uint8).reshape(2, -1)
        values = halves.T.tobytes()
    return values


def description(path: Path) -> Description:
    """Counts and pixel size from the XML metadata; empty where the file has none."""
    with path.open("rb") as file:
        (place,) = struct.unpack_from("<q", file.read(_SEGMENT_BYTES + 80), _SEGMENT_BYTES + 60)
        file.seek(place)
        segment = file.read(_SEGMENT_BYTES + 256)
        if not place or not segment.startswith(b"ZISRAWMETADATA"):
            return Description({})
        (xml_bytes,) = struct.unpack_from("<i", segment, _SEGMENT_BYTES)
        xml = file.read(max(0, xml_bytes))
    try:
        root = ET.fromstring(xml.rstrip(b"\0"))  # noqa: S314 - expat limits entities' growth
    except ET.ParseError:
        return Description({})
    image = "Metadata/Information/Image"
    counts = {letter: int(root.findtext(f"{image}/Size{letter}") or 1) for letter in "TZ"}
    names = root.iterfind(f"{image}/Dimensions/Channels/Channel")
    channels = tuple(node.get("Name", "") for node in names)
    x, y = (root.findtext(f"Metadata/Scaling/Items/Distance[@Id='{i}']/Value") for i in "XY")
    acquired = iso_date(root.findtext(f"{image}/AcquisitionDateAndTime") or "")
    return Description(counts, channels, pixel_size.edges(x, y, "m", "Scaling"), acquired)
