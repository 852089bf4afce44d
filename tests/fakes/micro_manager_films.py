"""MMStack files as Micro-Manager writes them: an index map, a summary, a page before each plane."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_METADATA = b'{"PixelSizeUm": 0.1}\0'

Place = tuple[int, int, int, int]
"""Channel, slice, frame, position."""


def write_mmstack(
    path: Path,
    planes: Mapping[Place, NDArray[np.uint16]],
    *,
    summary: Mapping[str, object],
    parts: Sequence[str] = (),
    indexed: bool = True,
) -> None:
    """One file of a film.

    Parameters
    ----------
    path : Path
        Its name has ``_MMStack`` in it.
    planes : Mapping of Place to ndarray, shape (Y, X), uint16
        The planes of this file, in their order.
    summary : Mapping
        Of the whole film: ``Frames``, ``Channels``, ``Slices``, ``Positions``.
    parts : sequence of str
        Names of all files of the film, for the OME description; none without one.
    indexed : bool
        Whether the program closed the file: after a crash it has no index map.
    """
    text = json.dumps({"MicroManagerVersion": "2.0", **summary}).encode()
    data = bytearray(struct.pack("<2sHI", b"II", 42, 40 + len(text)) + bytes(32) + text)
    offsets, link = [], 4
    ome = _description(parts, summary).encode() + b"\0" if parts else b"\0"
    for plane in planes.values():
        offsets.append(len(data))
        struct.pack_into("<I", data, link, len(data))
        start = len(data) + 162  # thirteen tags, as tifffile expects them
        height, width = plane.shape
        tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (270, 2, 1, 0), (273, 4, 1, start), (277, 3, 1, 1)]
        tags += [(278, 4, 1, height), (279, 4, 1, plane.nbytes), (282, 4, 1, 1), (283, 4, 1, 1)]
        tags += [(51123, 2, len(_METADATA), start + plane.nbytes)]
        data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(data)
        data += bytes(4) + np.ascontiguousarray(plane, "<u2").tobytes() + _METADATA
    index = len(data)
    data += struct.pack("<II", 3453623, len(planes))
    for place, offset in zip(planes, offsets, strict=True):
        data += struct.pack("<5I", *place, offset)
    struct.pack_into(
        "<8I",
        data,
        8,
        54773648,
        index if indexed else 0,
        483765892,
        0,
        99384722,
        0,
        2355492,
        len(text),
    )
    description = offsets[0] + 2 + 5 * 12
    struct.pack_into("<HHII", data, description, 270, 2, len(ome), len(data))
    path.write_bytes(data + ome)


def _description(parts: Sequence[str], summary: Mapping[str, object]) -> str:
    """An OME description that names all files; without planes, as tifffile prefers the index."""
    sizes = f'SizeX="24" SizeY="20" SizeZ="1" SizeC="1" SizeT="{summary["Frames"]}"'
    named = "".join(
        f'<TiffData IFD="0" FirstT="{i}"><UUID FileName="{name}">urn:uuid:{i}</UUID></TiffData>'
        for i, name in enumerate(parts)
    )
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image '
        f'ID="Image:0"><Pixels DimensionOrder="XYZCT" {sizes} Type="uint16">{named}</Pixels>'
        "</Image></OME>"
    )
