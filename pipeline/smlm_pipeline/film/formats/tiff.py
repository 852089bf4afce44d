"""Read TIFF and its relatives: BigTIFF, ImageJ, OME-TIFF and Micro-Manager's files.

A film stored as one uncompressed block is mapped, any other is decoded page by page;
either way only the requested frames are in memory.
"""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats import tiff_layout
from smlm_pipeline.film.formats.refusals import DAMAGE
from smlm_pipeline.film.formats.source import Source, plausible_nm
from smlm_pipeline.film.formats.tiff_planes import locate, next_page
from smlm_pipeline.film.formats.tiff_stated import Stated, ome_pixels

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF file."""


class TiffSource(Source):
    """One film of one or several TIFF files, found by `open_tiff`."""

    def __init__(self, path: Path, tif: TiffFile, film: TiffPageSeries | None) -> None:
        self.path, self._tif, self._film = path, tif, film
        first = tif.pages.first
        axes, shape = tiff_layout.dimensions(film) if film is not None else ("YX", first.shape)
        self._planes = locate(path, tif, film, Stated(axes[:-2], shape[:-2]))
        self.axes, self.shape = self._planes.axes + "YX", (*self._planes.shape, *shape[-2:])
        self.gaps = self._planes.gaps
        self._stored = np.dtype(first.dtype)
        self.dtype = self._stored.newbyteorder("=")
        self.pixel_size_nm = _pixel_size_nm(tif)

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._tif.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._tif.filehandle.closed

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Map or decode the planes; see `Source.read`."""
        if self._planes.block_start is None:
            return self._decoded(planes, y, x)
        # One mapping for each read: all pages read through a mapping count as memory of the
        # process. Reading beyond the end of the file would kill it, so the size is checked.
        file, stored = self._tif.filehandle, self._tif.byteorder + self._stored.char
        plane_bytes = math.prod(self.shape[-2:]) * self.dtype.itemsize
        start, end = (
            self._planes.block_start + i * plane_bytes for i in (planes[0], planes[-1] + 1)
        )
        if end > os.fstat(file.fileno()).st_size:
            raise EOFError
        size = (planes[-1] + 1 - planes[0], *self.shape[-2:])
        mapped = file.memmap_array(stored, size, start)
        return np.array(mapped[:: planes.step, y, x], self.dtype)

    def _decoded(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """The planes out of their pages, which tifffile decodes together where it lists them."""
        size = self.shape[-2:]
        if self._film is not None and len(self._film) == len(self._planes.pages):
            decoded = self._tif.asarray(key=planes, series=self._film)
            return decoded.reshape(len(planes), *size)[:, y, x]
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            page = self._planes.pages[plane]
            if page is None:
                raise EOFError
            read[index] = page.asarray().reshape(size)[y, x]
        return read


def open_tiff(path: Path) -> TiffSource:
    """Open a TIFF film and find its planes, without reading them.

    Raises
    ------
    FilmError or any error of tifffile
        If the file is not a film of grey frames.
    """
    with ExitStack() as on_error:
        tif = on_error.enter_context(TiffFile(path))
        try:
            if tiff_layout.is_piecewise(tif):
                tif.close()
                tif = on_error.enter_context(TiffFile(path, is_shaped=False))
            film = tiff_layout.film(path, tif)
        except DAMAGE as error:
            if isinstance(error, FilmError) or next_page(tif) == 0:
                raise
            film = None  # the pages before the place where the file was cut off
        source = TiffSource(path, tif, film)
        on_error.pop_all()
        return source


def _pixel_size_nm(tif: TiffFile) -> float | None:
    """Edge of a camera pixel from OME, Micro-Manager, or ImageJ and the resolution tags."""
    pixels, page = ome_pixels(tif), tif.pages.first
    try:
        return plausible_nm(float(pixels["PhysicalSizeX"]), pixels.get("PhysicalSizeXUnit", "um"))
    except (KeyError, ValueError):
        pass
    manager = page.tags.valueof("MicroManagerMetadata")
    if isinstance(manager, dict) and manager.get("PixelSizeUm"):
        return plausible_nm(float(manager["PixelSizeUm"]), "um")
    size = 1 / (page.resolution[0] or math.nan)
    unit = str((tif.imagej_metadata or {}).get("unit", int(page.resolutionunit)))
    return plausible_nm(size, unit)
