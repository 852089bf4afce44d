"""Read TIFF and its relatives: BigTIFF, ImageJ, OME-TIFF and Micro-Manager's files.

A film stored as one uncompressed block is mapped, any other is decoded page by page;
either way only the requested frames are in memory.
"""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats import mm_stack, tiff_layout
from smlm_pipeline.film.formats.acquisition_date import date_of_tiff
from smlm_pipeline.film.formats.ome_repair import without_damaged
from smlm_pipeline.film.formats.ome_sets import described_in, files_of_set, others_of_set
from smlm_pipeline.film.formats.refusals import damage
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.formats.tiff_pages import read_pages
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_tiff
from smlm_pipeline.film.formats.tiff_planes import locate, next_page
from smlm_pipeline.film.formats.tiff_positions import TiffPositions, films_of_positions
from smlm_pipeline.film.formats.tiff_stated import Stated, check_stated, ome_channels

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
        self.pixel_size_nm, self.pixel_doubt = size_of_tiff(tif)
        self.acquired = date_of_tiff(tif)
        self.labels = {"C": ome_channels(tif)} if "C" in self.axes else {}

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._tif.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._tif.filehandle.closed

    @property
    def decoded_bytes(self) -> int:
        """A page with the tiles that reach beyond it; of a block, no more than is asked for."""
        if self._planes.block_start is not None:
            return 0
        page = self._tif.pages.first
        tile_px = max(page.tilewidth or 0, 1) * max(page.tilelength or 0, 1)
        return int(max(page.nbytes, tile_px * self.dtype.itemsize))

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
        size, film = self.shape[-2:], self._film
        if film is not None and not film.is_multifile and len(film) == len(self._planes.pages):
            decoded = self._tif.asarray(key=planes, series=film)
            return decoded.reshape(len(planes), *size)[:, y, x]
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        read_pages([self._planes.pages[i] for i in planes], size, y, x, read)
        return read


def _what_is_left(
    path: Path, film_file: Path, described: str | None
) -> tuple[TiffFile, TiffPageSeries]:
    """The film without the pages of its files that cannot be read."""
    with TiffFile(film_file, _multifile=False) as tif:
        description = described or tif.ome_metadata
    if description:
        description = without_damaged(film_file.parent, description)
    tif = TiffFile(film_file, omexml=description, _multifile=None if description else False)
    try:
        return tif, tiff_layout.film(path, tif)
    except BaseException:
        tif.close()
        raise


def open_tiff(path: Path) -> Source:
    """Open a TIFF film and find its planes, without reading them.

    Raises
    ------
    FilmError or any error of tifffile
        If the file is not a film of grey frames.
    """
    stack = mm_stack.open_stack(path)
    if stack is not None:
        return stack
    film_file, described = described_in(path)
    opened = partial(TiffFile, film_file, omexml=described)
    with ExitStack() as on_error:
        tif = on_error.enter_context(opened())
        check_stated(path, tif)
        try:
            apart = 0
            if tiff_layout.is_piecewise(tif):
                apart = tiff_layout.frames_apart(tif)
                tif.close()
                tif = on_error.enter_context(opened(is_shaped=False))
            films = films_of_positions(tif)
            if films:
                positions = TiffPositions(path, tif, films)
                on_error.pop_all()
                return positions
            film = tiff_layout.film(path, tif)
        except damage() as error:
            if isinstance(error, FilmError):
                raise
            film = None  # the pages before the place where the file was cut off
            if next_page(tif) == 0:  # but another file of the film is damaged
                tif.close()
                tif, film = _what_is_left(path, film_file, described)
                on_error.push(tif)
        source = TiffSource(path, tif, film)
        source.frames_apart = apart
        warning = others_of_set(path)
        source.warnings = (warning,) if warning else ()
        if film is not None and film.is_multifile:
            source.files = frozenset(files_of_set(film_file))
        on_error.pop_all()
        return source
