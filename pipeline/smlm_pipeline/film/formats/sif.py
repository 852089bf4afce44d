"""Read Andor's SIF films: lines of text that describe the frames, then float32 values.

The text changes from version to version, so that only the part that describes the frames is
searched for. The package sif_parser counts lines instead, and needs pandas. Layout after
M. Leutenegger's sifread (MATLAB Central 11224) and sif_parser.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from smlm_pipeline.film.formats.flat import FlatSource, Layout
from smlm_pipeline.film.formats.refusals import AGAIN, refusal

MAGIC = b"Andor Technology Multi-Channel File"
"""First bytes of a SIF file."""

_TEXT_BYTES = 1 << 22
_EXPORT = "export the film as TIFF in Solis"

# Version, region, frames, subimages, values in all and of a frame; often behind the name of an
# axis, which has no end of line.
_FRAMES = re.compile(rb"(?<!\d)655\d\d(?: +-?\d+){4} +(\d+) +(\d+) +(\d+) +(\d+) *\r?\n")
_SUBIMAGE = re.compile(rb" *655\d\d +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)[^\n]*\n")


def open_sif(path: Path) -> FlatSource:
    """Open a SIF film; several subimages of one size are positions.

    Raises
    ------
    FilmError
        If the file is cut short, or holds subimages of different size.
    """
    if path.suffix.lower() == ".sifx":
        raise refusal(path, "keeps its frames in other files (.dat)", _EXPORT)
    with path.open("rb") as file:
        text = file.read(_TEXT_BYTES)
    candidates = ((found.end(), *map(int, found.groups())) for found in _FRAMES.finditer(text))
    place, frames, subimages, _, each = next(
        (parts for parts in candidates if parts[1] * parts[4] == parts[3] > 0), (0, 0, 0, 0, 0)
    )
    if not place:
        raise refusal(path, "is cut short or of an unknown version of SIF", _EXPORT)
    sizes = set()
    for _ in range(subimages):
        subimage = _SUBIMAGE.match(text, place)
        if not subimage:
            raise refusal(path, "is cut short or damaged in its description", AGAIN)
        left, top, right, bottom, y_bin, x_bin = (int(number) for number in subimage.groups())
        height_px, width_px = (abs(top - bottom) + 1) // y_bin, (right - left + 1) // x_bin
        sizes.add((height_px, width_px))
        place = subimage.end()
    if len(sizes) != 1:
        raise refusal(path, f"holds {subimages} subimages that differ in size", _EXPORT)
    (height_px, width_px), dtype = min(sizes), np.dtype("<f4")
    if subimages * height_px * width_px != each:
        shape = f"{subimages} x {height_px} x {width_px} pixels"
        raise refusal(path, f"counts {each} values a frame, but has {shape}", AGAIN)
    row_bytes = width_px * dtype.itemsize
    strides = (each * dtype.itemsize, height_px * row_bytes, row_bytes)
    start = _values_start(path, text, place, frames)
    layout = Layout("TPYX", (frames, subimages, height_px, width_px), strides, start, dtype)
    return FlatSource(path, layout)


def _values_start(path: Path, text: bytes, place: int, frames: int) -> int:
    """First byte behind the time stamps, a line for each frame, and what newer versions add."""
    stamps = re.compile(rb"\s*(?: *-?\d+ *\r?\n){%d}" % frames).match(text, place)
    if not stamps:
        raise refusal(path, "is cut short: it lacks time stamps of its frames", AGAIN)
    more = re.compile(rb"0\n|1\n(?:-?\d+\n){%d}" % frames).match(text, stamps.end())
    return more.end() if more else stamps.end()
