"""Decode pages of one or several TIFF files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any

from numpy.typing import NDArray
from tifffile import TiffFrame, TiffPage


def read_pages(
    pages: Sequence[TiffPage | TiffFrame | None],
    plane_px: tuple[int, ...],
    y: slice,
    x: slice,
    read: NDArray[Any],
) -> None:
    """Decode a region of pages into an array, each file open while its pages are read.

    Parameters
    ----------
    pages : sequence of page
        The pages; none of them may be missing.
    plane_px : tuple of int
        Height and width of a page.
    y, x : slice
        The region, in pixels.
    read : ndarray, shape (len(pages), height, width), of any dtype
        Receives the values of the file.

    Raises
    ------
    EOFError
        If a page is missing.
    """
    present = [page for page in pages if page is not None]
    if len(present) < len(pages):
        raise EOFError
    for file, alike in groupby(enumerate(present), key=lambda item: item[1].parent.filehandle):
        with ExitStack() as reading:
            if file.closed:  # tifffile warns of each page of a file that it has closed
                file.open()
                reading.callback(file.close)
            for index, page in alike:
                read[index] = page.asarray().reshape(plane_px)[y, x]
