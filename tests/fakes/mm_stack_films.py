"""Files in the layout of Micro-Manager's MMStack: header, summary, index map, planes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int, int, int]
"""Channel, slice, frame, position."""

SUMMARY: dict[str, Any] = {
    "MicroManagerVersion": "2.0.0",
    "Prefix": "acq",
    "Frames": 1,
    "Channels": 1,
    "Slices": 1,
    "Positions": 1,
    "TimeFirst": False,
    "SlicesFirst": True,
}


def write_mm_stack(
    path: Path,
    planes: Mapping[Place, NDArray[np.uint16]],
    *,
    description: str = "",
    indexed: bool = True,
    **summary: Any,
) -> Path:
    """Write one file; without an index map it is as after a crash of the program."""
    told = json.dumps(SUMMARY | summary).encode()
    body, entries, start = bytearray(), [], 40 + len(told)
    start += start % 2
    text = description.encode() + b"\0"
    for number, (place, plane) in enumerate(planes.items()):
        values, metadata = (
            plane.astype("<u2").tobytes(),
            json.dumps({"FrameIndex": place[2]}).encode(),
        )
        tags = 13 if number == 0 else 12
        offset = start + len(body)
        after = offset + 2 + 12 * tags + 4
        extra = text if number == 0 else b""
        end = after + len(values) + len(metadata) + len(extra)
        end += end % 2
        rows = [(256, 4, 1, plane.shape[1]), (257, 4, 1, plane.shape[0]), (258, 3, 1, 16)]
        rows += [(259, 3, 1, 1), (262, 3, 1, 1)]
        if number == 0:
            rows += [(270, 2, len(text), after + len(values) + len(metadata))]
        rows += [(273, 4, 1, after), (277, 3, 1, 1), (278, 3, 1, plane.shape[0])]
        rows += [(279, 4, 1, len(values)), (296, 3, 1, 3), (339, 3, 1, 1)]
        rows += [(51123, 2, len(metadata), after + len(values))]
        following = end if number + 1 < len(planes) else 0
        directory = struct.pack("<H", len(rows)) + b"".join(
            struct.pack("<HHII", *row) for row in rows
        )
        directory += struct.pack("<I", following)
        assert len(directory) == 2 + 12 * tags + 4
        body += (directory + values + metadata + extra).ljust(end - offset, b"\0")
        entries.append((*place, offset))
    index = start + len(body)
    head = b"II*\0" + struct.pack("<I", start)
    head += struct.pack("<II", 54773648, index if indexed else 0)
    head += struct.pack("<IIII", 483765892, 0, 99384722, 0)
    head += struct.pack("<II", 2355492, len(told)) + told
    head = head.ljust(start, b"\0")
    tail = struct.pack("<II", 3453623, len(entries))
    tail += b"".join(struct.pack("<5I", *entry) for entry in entries)
    path.write_bytes(head + bytes(body) + (tail if indexed else b""))
    return path


def planes_of(film: NDArray[np.uint16], first: int = 0, position: int = 0) -> dict[Place, Any]:
    """Frames (T, Y, X) by their places, the first at this time."""
    return {(0, 0, first + index, position): frame for index, frame in enumerate(film)}
