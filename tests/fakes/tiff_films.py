"""A film of random counts as TIFF in every layout, and how a bad one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film

COUNT, HEIGHT_PX, WIDTH_PX = 12, 20, 24
Film = NDArray[np.uint16]
Writer = Callable[[Path, Film], None]


def make_film(count: int = COUNT) -> Film:
    random = np.random.default_rng(count)
    return random.integers(0, 1 << 16, (count, HEIGHT_PX, WIDTH_PX), dtype=np.uint16)


def writer(**options: Any) -> Writer:
    def write(path: Path, film: Film) -> None:
        tifffile.imwrite(path, film, photometric="minisblack", **options)

    return write


def by_blocks(frames_per_block: int, **options: Any) -> Writer:
    def write(path: Path, film: Film) -> None:
        with tifffile.TiffWriter(path) as tif:
            for first in range(0, len(film), frames_per_block):
                block = film[first : first + frames_per_block].squeeze()
                tif.write(block, photometric="minisblack", **options)

    return write


BLOCK_WRITERS: dict[str, Writer] = {
    "plain": writer(),
    "bigtiff": writer(bigtiff=True),
    "big-endian": writer(byteorder=">"),
    "one page for all": writer(truncate=True),
    "ImageJ frames": writer(imagej=True, metadata={"axes": "TYX"}),
    "ImageJ slices": writer(imagej=True, metadata={"axes": "ZYX"}),
    "ImageJ one page for all": writer(imagej=True, metadata={"axes": "TYX"}, truncate=True),
    "OME": writer(ome=True, metadata={"axes": "TYX"}),
}
PAGE_WRITERS: dict[str, Writer] = {
    "frame by frame": by_blocks(1),
    "block by block": by_blocks(4),
    "pages without description": by_blocks(1, metadata=None),
    "zlib": writer(compression="zlib"),
    "zlib, predictor, strips": writer(compression="zlib", predictor=True, rowsperstrip=7),
    "zlib tiles": writer(compression="zlib", tile=(16, 16)),
    "big-endian lzma": writer(compression="lzma", byteorder=">"),
    "OME zlib": writer(ome=True, metadata={"axes": "TYX"}, compression="zlib"),
}
WRITERS = BLOCK_WRITERS | PAGE_WRITERS
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


def patch(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


def refuse(path: Path, reason: str) -> str:
    """Open a bad film; its message names the file, the expectation and a remedy."""
    with pytest.raises(FilmError, match=reason) as caught:
        open_film(path)
    message = str(caught.value)
    assert re.fullmatch(re.escape(str(path)) + r" [^\n]+; expected [^\n]+: [^\n]+", message)
    return message
