"""Locate the planes of a TIFF film, and find out which of them its files lack.

Descriptions (ImageJ, OME, Micro-Manager, tifffile) state how many planes there should be; pages,
or one block of values, are what is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from smlm_pipeline.film.formats import tiff_stated
from smlm_pipeline.film.formats.refusals import AGAIN, DAMAGE, refusal
from smlm_pipeline.film.formats.source import Gaps, GapsState
from smlm_pipeline.film.formats.tiff_stated import Stated

Pages: TypeAlias = "Sequence[TiffPage | TiffFrame | None]"
"""Pages of planes in their order; None for a plane that has no page."""

_CUT = "it is cut short"

_DESCRIPTION_LOST = f"{_CUT}, and its description is lost: frames of channels would be mixed"

_IMAGE_DESCRIPTION = 270
"""Code of the tag."""


@dataclass(frozen=True)
class Planes:
    """The planes of a film.

    ``axes`` and ``shape`` are those before Y and X, none of length one. The planes are one
    uncompressed block that begins at ``block_start``, or else ``pages``.
    """

    axes: str
    shape: tuple[int, ...]
    gaps: Gaps | None = None
    block_start: int | None = None
    pages: Pages = ()


def locate(path: Path, tif: TiffFile, film: TiffPageSeries | None, seen: Stated) -> Planes:
    """Find the planes of a film; those that are missing are its gaps.

    Parameters
    ----------
    path : Path
        The film's file.
    tif : TiffFile
        The file, open.
    film : TiffPageSeries or None
        tifffile's series of the film; None where it cannot make one of what is left of a file.
    seen : Stated
        Axes and lengths of the series.

    Raises
    ------
    FilmError
        If the pages are more than the description counts, and have several axes.
    """
    kind = film.kind if film is not None else ""
    stated = tiff_stated.stated_planes(tif, seen)
    if kind in {"imagej", "ome"} and len(tif.pages) > stated.count:
        return _more_than_counted(path, tif, stated)
    link = next_page(tif)
    block = _block(tif, film, stated, link)
    if block is not None:
        return _in_block(tif, *block, seen, link)
    mapped = film is not None and (kind == "ome" or (link == 0 and len(film) == seen.count))
    pages: Pages = list(film) if film is not None and mapped else _readable(tif)
    if len(pages) > stated.count and link != 0:
        stated = Stated(stated.axes[:1] or "I", (len(pages),))
    known = bool(stated.name) or kind == "shaped"
    full = sum(page is not None for page in pages) >= stated.count
    open_end = full and bool(link or (link is None and not known))
    return _of_pages(path, tif, stated, pages, open_end=open_end)


def next_page(tif: TiffFile) -> int | None:
    """Offset of the page after the last one that is there; 0 at the end, None where cut off."""
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    link = tif.filehandle.read(tif.tiff.offsetsize)
    if len(link) < tif.tiff.offsetsize:
        return None
    return int.from_bytes(link, "little" if tif.byteorder == "<" else "big")


def _of_pages(path: Path, tif: TiffFile, stated: Stated, pages: Pages, *, open_end: bool) -> Planes:
    """Planes that are pages, some of which may be missing or cut short."""
    planes = Planes(stated.axes, stated.shape, pages=pages)
    whole = np.flatnonzero([_is_whole(page) for page in pages[: stated.count]])
    link = next_page(tif)
    if len(whole) == stated.count and link == 0:
        return planes
    reason, remedy = _cut(tif), AGAIN
    if link == 0 and (len(pages) < stated.count or None in pages):
        reason, remedy = _why(path, tif, stated, len(whole))
    state: GapsState = (
        "open end" if open_end else "cut" if len(whole) == stated.count else "lacking"
    )
    return replace(planes, gaps=Gaps(whole, reason, remedy, state))


def _in_block(tif: TiffFile, start: int, stated: Stated, seen: Stated, link: int | None) -> Planes:
    """Planes that follow each other in one block of uncompressed values."""
    whole = (tif.filehandle.size - start) // tif.pages.first.nbytes
    paged = link == 0 and tif.pages.is_multipage
    if paged:  # what follows the planes that have pages is no plane
        whole = min(whole, seen.count)
    planes = Planes(stated.axes, stated.shape, block_start=start)
    open_end = bool(link) and whole >= stated.count and len(tif.pages) >= stated.count
    if whole >= stated.count and link == 0:
        return planes
    reason = _cut(tif)
    if paged and seen.count < stated.count:
        reason = f"{stated.name} states {stated.count:,} planes, the file has {whole:,}"
    present = np.arange(min(whole, stated.count))
    state: GapsState = "open end" if open_end else "lacking" if whole < stated.count else "cut"
    return replace(planes, gaps=Gaps(present, reason, AGAIN, state))


def _cut(tif: TiffFile) -> str:
    """The reason for a file that was cut off; its OME description may be at its end."""
    file, layout = tif.filehandle, tif.tiff
    order = "little" if tif.byteorder == "<" else "big"

    def number(size_bytes: int) -> int:
        return int.from_bytes(file.read(size_bytes), order)  # type: ignore[arg-type]

    file.seek(tif.pages.first.offset)
    for _ in range(number(layout.tagnosize)):
        code, _kind = number(2), number(2)
        length, value = number(layout.offsetsize), number(layout.offsetsize)
        if code == _IMAGE_DESCRIPTION and length > layout.offsetsize and value >= file.size:
            return _DESCRIPTION_LOST
    return _CUT


def _why(path: Path, tif: TiffFile, stated: Stated, whole: int) -> tuple[str, str]:
    """Why planes are missing from files that were not cut off, and what to do."""
    lost = tiff_stated.lost_files(path, tif)
    if lost:
        others = f" nor are {len(lost) - 1:,} others" if len(lost) > 1 else ""
        reason = f"{lost[0]}, which its description names, is not beside it{others}"
        return reason, f"put {lost[0]} there, with the name that it had"
    holds = f"the file has {whole:,}"
    if not stated.name:
        return f"of {stated.count:,} planes {holds}", AGAIN
    return (
        f"{stated.name} states {stated.count:,} planes, {holds}",
        f"{AGAIN} if it was not an acquisition that was stopped",
    )


def _more_than_counted(path: Path, tif: TiffFile, stated: Stated) -> Planes:
    """All pages, as frames of a file whose description counts fewer."""
    problem = f"holds {len(tif.pages)} frames and its description counts {stated.count}"
    remedy = "save it as one film, for instance in ImageJ/Fiji"
    pages = _readable(tif)
    if len(stated.shape) > 1:
        raise refusal(path, problem, remedy)
    whole = np.flatnonzero([_is_whole(page) for page in pages])
    gaps = Gaps(whole, problem, remedy, "more")
    return Planes(stated.axes or "T", (len(pages),), gaps, pages=pages)


def _block(
    tif: TiffFile, film: TiffPageSeries | None, stated: Stated, link: int | None
) -> tuple[int, Stated] | None:
    """Where the values begin, and their planes, if all of them are one block; else None.

    Where the pages of a block are lost with the end of a file, the link to the second page
    still shows that no page interrupts the block, and how long it was.
    """
    if film is not None and film.dataoffset is not None and (link == 0 or stated.count > 1):
        return int(film.dataoffset), stated
    first = tif.pages.first
    if not first.is_final or not first.dataoffsets or first.dtype is None:
        return None
    start, pages = int(first.dataoffsets[0]), len(tif.pages)
    second = _second_page(tif) if pages > 1 else link
    if not second:
        return (start, stated) if second == 0 and stated.count > pages else None
    between = (second - start) // first.nbytes
    if between > pages and stated.count <= pages and link != 0:
        stated = Stated("I", (between,))
    return (start, stated) if between >= stated.count > pages else None


def _second_page(tif: TiffFile) -> int | None:
    """Offset of the second page; None where it is cut off."""
    try:
        return int(tif.pages.get(1, aspage=False).offset)
    except DAMAGE:
        return None


def _readable(tif: TiffFile) -> list[TiffPage | TiffFrame]:
    """Pages of the shape and type of the first one, up to the first that cannot be read."""
    first = tif.pages.first
    pages: list[TiffPage | TiffFrame] = []
    for index in range(len(tif.pages)):
        try:
            page = tif.pages.get(index, aspage=True)
        except DAMAGE:
            break
        if page.shape == first.shape and page.dtype == first.dtype:
            pages.append(page)
    return pages


def _is_whole(page: TiffPage | TiffFrame | None) -> bool:
    """Whether there is a page that locates all of its data, and the file contains them."""
    if page is None:
        return False
    in_one_piece, end = page.is_contiguous, page.parent.filehandle.size
    sizes = (page.nbytes,) if in_one_piece else page.databytecounts
    parts = list(zip(page.dataoffsets, sizes, strict=False))
    inside = all(offset > 0 and 0 < size <= end - offset for offset, size in parts)
    return inside and len(parts) >= (1 if in_one_piece else math.prod(page.chunked))
