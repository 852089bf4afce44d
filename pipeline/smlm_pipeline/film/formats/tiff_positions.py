"""Read OME-TIFF files that hold a film for each position, as images of equal size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from smlm_pipeline.film.formats import tiff_layout
from smlm_pipeline.film.formats.refusals import AGAIN
from smlm_pipeline.film.formats.source import Gaps, Source, squeezed
from smlm_pipeline.film.formats.tiff_pages import read_pages
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_tiff


class TiffPositions(Source):
    """Films of one OME-TIFF, each the one of a position."""

    def __init__(self, path: Path, tif: TiffFile, films: list[TiffPageSeries]) -> None:
        self.path, self._tif = path, tif
        axes, shape = tiff_layout.dimensions(films[0])
        self.axes, self.shape = squeezed(f"P{axes}", (len(films), *shape))
        self.dtype = np.dtype(films[0].dtype).newbyteorder("=")
        self._pages = [page for film in films for page in film]
        there = np.flatnonzero([page is not None for page in self._pages])
        if len(there) < math.prod(self.shape[:-2]):
            self.gaps = Gaps(there, "its OME description states more than it holds", AGAIN)
        self.labels = {"P": tuple(str(film.name or "") for film in films)}
        self.pixel_size_nm, self.pixel_doubt = size_of_tiff(tif)

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._tif.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._tif.filehandle.closed

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the pages of the planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        read_pages([self._pages[plane] for plane in planes], self.shape[-2:], y, x, read)
        return read


def films_of_positions(tif: TiffFile) -> list[TiffPageSeries]:
    """The films of an OME-TIFF if there are several, all of one size and type; else none."""
    if not tif.is_ome:
        return []
    films = [series for series in tif.series if not series.keyframe.is_reduced]
    kinds = {(series.kind, *tiff_layout.dimensions(series), series.dtype) for series in films}
    axes, shape = tiff_layout.dimensions(films[0]) if films else ("", ())
    alike = len(films) > 1 and len(kinds) == 1 and films[0].kind == "ome"
    return films if alike and axes[-2:] == "YX" and len(shape) > 2 else []
