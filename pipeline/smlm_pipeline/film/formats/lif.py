"""Read Leica's films (.lif, .lof): the package liffile finds where the values lie."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.acquisition_date import iso_date
from smlm_pipeline.film.formats.flat import FlatSource, Layout
from smlm_pipeline.film.formats.pixel_size import Edges
from smlm_pipeline.film.formats.positions import Positions
from smlm_pipeline.film.formats.refusals import AGAIN, extra, refusal
from smlm_pipeline.film.formats.source import Source

_LETTERS = {1: "X", 2: "Y", 3: "Z", 4: "T", 5: "L", 6: "A", 10: "P"}
_EXPORT = "export the film as TIFF in LAS X"


def is_lif(first: bytes) -> bool:
    """Whether a file begins as LIF and LOF files do: with two marks around a length."""
    return first.startswith(b"p\0\0\0") and first[8:9] == b"*"


def open_lif(path: Path) -> Source:
    """Open the film of a LIF file; several films are positions.

    Raises
    ------
    FilmError
        If the package liffile is missing, or the file holds no grey frames.
    """
    with extra(path, "lif"):
        from liffile import LifFile, LifFileError  # an extra, which most films do not need
    try:
        file = LifFile(path)
    except LifFileError as error:
        raise refusal(path, f"is cut short or damaged ({error})", AGAIN) from error
    found: list[tuple[str, FlatSource]] = []
    with file:
        for image in file.images:
            layout = None if image.is_flim else _layout(path, image)
            if layout:
                source = FlatSource(path, layout)
                source.pixel_size_nm, source.pixel_doubt = pixel_size.settle([_edges(image)])
                source.acquired = _date(image)
                found.append((image.name, source))
    # Single pictures beside films are not films.
    found = [pair for pair in found if math.prod(pair[1].shape[:-2]) > 1] or found
    if not found:
        raise refusal(path, "holds no image of grey frames", _EXPORT)
    names, films = zip(*found, strict=True)
    return films[0] if len(films) == 1 else Positions(path, films, names)


def _layout(path: Path, image: Any) -> Layout | None:
    """Where the values of an image are, by its description; None for colour and other kinds."""
    description = image.xml_element.find("./Data/Image/ImageDescription")
    if description is None:
        return None
    dimensions = [
        (int(node.get("BytesInc")), _LETTERS.get(int(node.get("DimID")), "Q"), _size(node))
        for node in description.findall("./Dimensions/DimensionDescription")
    ]
    channels = description.findall("./Channels/ChannelDescription")
    places = sorted(int(channel.get("BytesInc")) for channel in channels)
    kinds = {(channel.get("DataType"), int(channel.get("Resolution"))) for channel in channels}
    if len(kinds) != 1 or {"X", "Y"} - {letter for _, letter, _ in dimensions}:
        return None
    ((kind, bits),) = kinds
    dtype = np.dtype(f"<{'f' if kind == '1' else 'u'}{1 << max(0, (bits - 1) // 8).bit_length()}")
    if len(places) > 1:
        steps = {b - a for a, b in pairwise(places)}
        if len(steps) > 1:
            return None
        dimensions.append((steps.pop(), "C", len(places)))
    by_letter = {letter: (size, step) for step, letter, size in dimensions}
    if by_letter["X"][1] != dtype.itemsize or len(by_letter) < len(dimensions):
        return None  # colours lie side by side
    outer = sorted((-step, letter) for step, letter, _ in dimensions if letter not in "YX")
    axes = "".join([*(letter for _, letter in outer), "Y", "X"])
    strides = tuple(by_letter[letter][1] for letter in axes[:-1])
    shape = tuple(by_letter[letter][0] for letter in axes)
    try:
        block = image.memory_block
    except KeyError as error:
        raise refusal(path, f"is cut short: it lacks the image {image.name}", AGAIN) from error
    if block.offset < 0:
        raise refusal(path, "refers to other files for its frames", "name the .lif file")
    return Layout(axes, shape, strides, block.offset, dtype)


def _size(node: Any) -> int:
    return int(node.get("NumberOfElements"))


def _date(image: Any) -> str | None:
    """The time of the first frame, in UTC, which is what Leica's time stamps are."""
    stamps = image.timestamps
    return None if stamps is None or not len(stamps) else iso_date(f"{stamps[0]}Z")


def _edges(image: Any) -> Edges | None:
    """The distance of pixels along x and y: the length of an axis is that of N - 1 of them."""
    edges = {}
    for node in image.xml_element.iterfind(".//DimensionDescription"):
        length, count = abs(float(node.get("Length") or 0)), _size(node)
        edges[_LETTERS.get(int(node.get("DimID")))] = length / max(1, count - 1), node.get("Unit")
    (x, unit), (y, _) = edges.get("X", (0, "")), edges.get("Y", (0, ""))
    return pixel_size.edges(x, y, str(unit), "the length of x")
