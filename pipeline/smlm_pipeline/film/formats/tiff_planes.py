"""Locate the planes of a TIFF film, and find out which of them its files lack.

Descriptions (ImageJ, OME, Micro-Manager, tifffile) state how many planes there should be; pages,
or one block of values, are what is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from smlm_pipeline.film.formats import tiff_stated
from smlm_pipeline.film.formats.refusals import AGAIN, damage, refusal
from smlm_pipeline.film.formats.source import Gaps, GapsState
from smlm_pipeline.film.formats.tiff_stated import Stated
from smlm_pipeline.film.formats.written import written_bytes, zeros_at_the_end

Pages: TypeAlias = "Sequence[TiffPage | TiffFrame | None]"
"""Pages of planes in their order; None for a plane that has no page."""

_CUT = "it is cut short"

_ZEROS = "it ends in zeros, as a copy that was interrupted"

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
    # tifffile's own description counts the frames of one call, after which others may follow.
    known = bool(stated.name)
    full = sum(page is not None for page in pages) >= stated.count
    open_end = full and bool(link or (link is None and not known))
    return _of_pages(path, tif, stated, pages, open_end=open_end)


def next_page(tif: TiffFile) -> int | None:
    """Offset of the page after the last one that is there; 0 at the end, None where cut off."""
    place = tif.pages.next_page_offset or 0
    tif.filehandle.seek(place)
    link = tif.filehandle.read(tif.tiff.offsetsize)
    unwritten = place >= _end(tif) and _end(tif) < tif.filehandle.size
    if len(link) < tif.tiff.offsetsize or unwritten:
        return None
    return int.from_bytes(link, "little" if tif.byteorder == "<" else "big")


def _end(tif: TiffFile) -> int:
    """Bytes of the file that were written, with the black border that its frames may have."""
    file, first = tif.filehandle, tif.pages.first
    if not file.is_file:
        return int(file.size)
    end = written_bytes(Path(file.path), first.nbytes)
    if end == file.size or not (first.is_contiguous and first.dataoffsets):
        return end
    was_closed = file.closed
    if was_closed:
        file.open()
    file.seek(first.dataoffsets[0])
    border = zeros_at_the_end(file.read(first.nbytes))
    if was_closed:
        file.close()
    return min(end + border, int(file.size)) if border < first.nbytes else end


def _of_pages(path: Path, tif: TiffFile, stated: Stated, pages: Pages, *, open_end: bool) -> Planes:
    """Planes that are pages, some of which may be missing or cut short."""
    planes = Planes(stated.axes, stated.shape, pages=pages)
    whole = _whole(pages[: stated.count])
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
    whole = max(_end(tif) - start, 0) // tif.pages.first.nbytes
    paged = link == 0 and tif.pages.is_multipage
    if paged:  # what follows the planes that have pages is no plane
        whole = min(whole, seen.count)
    planes = Planes(stated.axes, stated.shape, block_start=start)
    paged_all = bool(link) and len(tif.pages) >= stated.count
    open_end = link != 0 and whole >= stated.count and (paged_all or not stated.name)
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
    order: Literal["little", "big"] = "little" if tif.byteorder == "<" else "big"

    def number(size_bytes: int) -> int:
        return int.from_bytes(file.read(size_bytes), order)

    file.seek(tif.pages.first.offset)
    for _ in range(number(layout.tagnosize)):
        code, _kind = number(2), number(2)
        length, value = number(layout.offsetsize), number(layout.offsetsize)
        if code == _IMAGE_DESCRIPTION and length > layout.offsetsize and value >= file.size:
            return _DESCRIPTION_LOST
    return _ZEROS if _end(tif) < file.size else _CUT


def _why(path: Path, tif: TiffFile, stated: Stated, whole: int) -> tuple[str, str]:
    """Why planes are missing from files that were not cut off, and what to do."""
    lost = tiff_stated.lost_files(path, tif)
    if lost:
        others = f" nor are {len(lost) - 1:,} others" if len(lost) > 1 else ""
        reason = f"{lost[0]}, which its description names, is not beside it{others}"
        return reason, f"put {lost[0]} there, with the name that it had"
    named = tiff_stated.named_files(tif)
    several = len(named) > 1
    cut = next((name for name in named if several and _is_cut(path.parent / name)), None)
    if cut is not None:
        return f"{cut}, one of its files, is cut short or ends in zeros", AGAIN
    holds = f"its files have {whole:,}" if several else f"the file has {whole:,}"
    if not stated.name:
        return f"of {stated.count:,} planes {holds}", AGAIN
    return (
        f"{stated.name} states {stated.count:,} planes, {holds}",
        f"{AGAIN}, all of its files, if it was not an acquisition that was stopped"
        if several
        else f"{AGAIN} if it was not an acquisition that was stopped",
    )


def _is_cut(file: Path) -> bool:
    try:
        with TiffFile(file, _multifile=False) as tif:
            return len(tif.pages) < 1 or next_page(tif) != 0
    except damage():
        return True


def _more_than_counted(path: Path, tif: TiffFile, stated: Stated) -> Planes:
    """All pages, as frames of a file whose description counts fewer."""
    problem = f"holds {len(tif.pages)} frames and its description counts {stated.count}"
    remedy = "save it as one film, for instance in ImageJ/Fiji"
    pages = _readable(tif)
    if len(stated.shape) > 1:
        raise refusal(path, problem, remedy)
    whole = _whole(pages)
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
    if film is not None and film.is_multifile:
        return None
    if not first.is_final or not first.dataoffsets or first.dtype is None:
        return None
    start, pages = int(first.dataoffsets[0]), len(tif.pages)
    second = _second_page(tif)
    if not second:
        return (start, stated) if second == 0 and stated.count > pages else None
    between = (second - start) // first.nbytes
    if between > pages and stated.count <= pages and link != 0:
        stated = Stated("I", (between,))
    return (start, stated) if between >= stated.count > pages else None


def _second_page(tif: TiffFile) -> int:
    """Offset of the second page, to which the first one links, whether or not it is there."""
    file, layout, first = tif.filehandle, tif.tiff, tif.pages.first
    order: Literal["little", "big"] = "little" if tif.byteorder == "<" else "big"
    file.seek(first.offset)
    tags = int.from_bytes(file.read(layout.tagnosize), order)
    file.seek(first.offset + layout.tagnosize + tags * layout.tagsize)
    return int.from_bytes(file.read(layout.offsetsize), order)


def _readable(tif: TiffFile) -> list[TiffPage | TiffFrame]:
    """Pages of the shape and type of the first one, up to the first that cannot be read."""
    first = tif.pages.first
    pages: list[TiffPage | TiffFrame] = []
    for index in range(len(tif.pages)):
        try:
            page = tif.pages.get(index, aspage=True)
        except damage():
            break
        if page.shape == first.shape and page.dtype == first.dtype:
            pages.append(page)
    return pages


def _whole(pages: Pages) -> NDArray[np.int64]:
    """Indices of the planes whose pages locate all of their data, which their files contain."""
    ends: dict[TiffFile, int] = {}
    for page in pages:
        if page is not None and page.parent not in ends:
            ends[page.parent] = _end(page.parent)
    return np.flatnonzero([p is not None and _is_inside(p, ends[p.parent]) for p in pages])


def _is_inside(page: TiffPage | TiffFrame, end: int) -> bool:
    """Whether the page locates all of its data, before the byte ``end`` of its file."""
    in_one_piece = page.is_contiguous
    sizes = (page.nbytes,) if in_one_piece else page.databytecounts
    parts = list(zip(page.dataoffsets, sizes, strict=False))
    inside = all(offset > 0 and 0 < size <= end - offset for offset, size in parts)
    return inside and len(parts) >= (1 if in_one_piece else math.prod(page.chunked))
