"""Read Zeiss' CZI films: a directory of blocks, of which each is a tile of a plane.

The package czifile is not used: its releases for Python before 3.12 do not decode Zstandard,
which ZEN writes by default. Layout after Zeiss' "ZISRAW (CZI) file format" and czifile;
imagecodecs decodes compressed blocks.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.czi_blocks import (
    Block,
    Description,
    blocks,
    decoded,
    description,
)
from smlm_pipeline.film.formats.positions import Positions
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps, Source, SourceAtRest, squeezed

_EXPORT = "export the film as OME-TIFF in ZEN"
_ORDER = "VHIBRTZC"
"""Dimensions of CZI before Y and X, but for scenes, which are films of their own."""


class CziSource(SourceAtRest):
    """Planes of a scene, put together from their tiles; a tile is decoded when a plane needs it."""

    def __init__(
        self,
        path: Path,
        planes: dict[tuple[int, ...], list[Block]],
        about: Description,
        *,
        whole: bool,
    ) -> None:
        self.path, self._tiles = path, planes
        found = [1 + max(along) for along in zip(*planes, strict=True)]
        stated = [about.counts.get(letter, 1) for letter in _ORDER]
        box = _box(path, planes)
        leading = tuple(max(pair) for pair in zip(found, stated, strict=True))
        self._leading, self._corner, size = leading, box[:2], box[2:]
        self.axes, self.shape = squeezed(f"{_ORDER}YX", (*leading, *size))
        tiles = [tile for plane in planes.values() for tile in plane]
        self.dtype = tiles[0].dtype.newbyteorder("=")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([about.edges])
        self.labels, self.acquired = {"C": about.channels}, about.acquired
        self._tile_bytes = max(tile.height_px * tile.width_px for tile in tiles)
        self._tile_bytes *= self.dtype.itemsize
        self.gaps = self._find_gaps(path.stat().st_size, whole=whole)

    @property
    def decoded_bytes(self) -> int:
        """A plane, and a tile beside it."""
        return super().decoded_bytes + self._tile_bytes

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the tiles of the planes that touch the region; see `Source.read`."""
        read = np.zeros((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        with self.path.open("rb") as file:
            for index, plane in enumerate(planes):
                place = tuple(int(i) for i in np.unravel_index(plane, self._leading))
                top, left = self._corner
                for tile in self._tiles[place]:
                    self._paste(file, tile, read[index], (y.start + top, x.start + left))
        return read

    def _paste(
        self, file: BinaryIO, tile: Block, into: NDArray[Any], corner: tuple[int, int]
    ) -> None:
        """Copy the part of a tile that lies in a region with this corner, as CZI counts pixels."""
        height_px, width_px = into.shape
        top, left = tile.y_px - corner[0], tile.x_px - corner[1]
        y = slice(max(0, top), min(height_px, top + tile.height_px))
        x = slice(max(0, left), min(width_px, left + tile.width_px))
        if y.start < y.stop and x.start < x.stop:
            pixels = decoded(self.path, file, tile)
            into[y, x] = pixels[y.start - top : y.stop - top, x.start - left : x.stop - left]

    def _find_gaps(self, size_bytes: int, *, whole: bool) -> Gaps | None:
        """The planes with all of their tiles inside the file, unless these are all planes."""
        most = max(map(len, self._tiles.values()))
        there = [
            place
            for place, tiles in self._tiles.items()
            if len(tiles) == most and all(tile.start_byte < size_bytes for tile in tiles)
        ]
        if whole and len(there) == math.prod(self._leading):
            return None
        steps = [math.prod(self._leading[i + 1 :]) for i in range(len(_ORDER))]
        flat = [sum(map(math.prod, zip(place, steps, strict=True))) for place in there]
        present = np.sort(np.array(flat, np.int64))
        if whole:
            return Gaps(present, "not all of its blocks are there", AGAIN)
        return Gaps(present, "its directory of blocks is cut off", AGAIN, "open end")


def open_czi(path: Path) -> Source:
    """Open a CZI film; several scenes are positions.

    Raises
    ------
    FilmError
        If the file is cut short, in colour, or its tiles leave gaps.
    """
    about = description(path)
    scenes: dict[int, dict[tuple[int, ...], list[Block]]] = {}
    found, whole = blocks(path)
    for block in found:
        place = tuple(block.places.get(letter, 0) for letter in _ORDER)
        scenes.setdefault(block.places.get("S", 0), {}).setdefault(place, []).append(block)
    if not scenes:
        raise refusal(path, "holds no frames", "check that it was saved to the end")
    if len({block.dtype for block in found}) > 1:
        raise refusal(path, "holds channels of different types", _EXPORT)
    firsts = [min(along) for along in zip(*itertools.chain(*scenes.values()), strict=True)]
    films = []
    for planes in scenes.values():
        moved = {
            tuple(i - first for i, first in zip(place, firsts, strict=True)): sorted(
                tiles, key=lambda tile: tile.mosaic
            )
            for place, tiles in planes.items()
        }
        films.append(CziSource(path, moved, about, whole=whole))
    names = [f"scene {scene}" for scene in scenes]
    return films[0] if len(films) == 1 else Positions(path, films, names)


def _box(path: Path, planes: dict[tuple[int, ...], list[Block]]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the tiles, which leave no gaps between them."""
    tiles = [tile for plane in planes.values() for tile in plane]
    top, left = min(tile.y_px for tile in tiles), min(tile.x_px for tile in tiles)
    height_px = max(tile.y_px + tile.height_px for tile in tiles) - top
    width_px = max(tile.x_px + tile.width_px for tile in tiles) - left
    fullest = max(planes.values(), key=len)
    if sum(tile.height_px * tile.width_px for tile in fullest) < height_px * width_px:
        raise refusal(path, "holds tiles with gaps between them", _EXPORT)
    return top, left, height_px, width_px
