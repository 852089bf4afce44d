"""NDTiff films as Micro-Manager 2 writes them: TIFF files of pages and an index beside them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_UINT16, _HEADER, _SUMMARY = 1, 483729, 2355492


def write_ndtiff(
    folder: Path, planes: dict[str, NDArray[np.uint16]], pixel_um: float = 0.1
) -> None:
    """Planes by their axes as JSON, in files of at most five planes.

    Parameters
    ----------
    folder : Path
        Made by this.
    planes : dict of ndarray, shape (Y, X), uint16
        Keys such as ``{"time": 3}``.
    pixel_um : float
        Edge of a pixel in the sample, for the metadata of each page.
    """
    folder.mkdir()
    index = b""
    items = list(planes.items())
    for number, first in enumerate(range(0, len(items), 5)):
        part = dict(items[first : first + 5])
        name = f"film_NDTiffStack{f'_{number}' if number else ''}.tif"
        data, starts = _file(list(part.values()), json.dumps({"PixelSizeUm": pixel_um}).encode())
        (folder / name).write_bytes(data)
        for (axes, plane), start in zip(part.items(), starts, strict=True):
            for text in (axes.encode(), name.encode()):
                index += struct.pack("<I", len(text)) + text
            index += struct.pack("<8I", start, *plane.shape[::-1], _UINT16, 0, 0, 0, 0)
    (folder / "NDTiff.index").write_bytes(index)


def _file(planes: list[NDArray[np.uint16]], metadata: bytes) -> tuple[bytes, list[int]]:
    """A file of version 3.3 and where the pixels of each of its planes start."""
    summary = b"{}"
    data = b"".join(
        (b"II*\0", struct.pack("<6I", 0, _HEADER, 3, 3, _SUMMARY, len(summary)), summary)
    )
    starts, link = [], 4  # where the place of the next directory stands
    for plane in planes:
        directory = len(data) + 2 + 12 * 10 + 4
        start = directory + len(metadata)
        height, width = plane.shape
        tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (273, 4, 1, start), (277, 3, 1, 1), (278, 4, 1, height)]
        tags += [(279, 4, 1, plane.nbytes), (51123, 2, len(metadata), directory)]
        data = data[:link] + struct.pack("<I", len(data)) + data[link + 4 :]
        data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(data)
        data += bytes(4) + metadata + plane.tobytes()
        starts.append(start)
    return data, starts
