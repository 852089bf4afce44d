"""Find the film among the images of a TIFF file, and check that its data are complete."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

from tifffile import TIFF, TiffFile, TiffFrame, TiffPage, TiffPageSeries

from smlm_pipeline.film.formats.refusals import AGAIN, CODEC, refusal


def is_piecewise(tif: TiffFile) -> bool:
    """Whether tifffile wrote the film in frames or blocks, each as a separate image."""
    # The second page is checked first: one series for each frame is slow to list.
    return (tif.is_shaped and tif.pages.is_multipage) and (
        tif.pages[1].aspage().is_shaped
        or (len(tif.series) > 1 and all(len(dimensions(s)[0]) < 4 for s in tif.series))
    )


def film(path: Path, tif: TiffFile) -> TiffPageSeries:
    """Find the one series of grey frames; previews do not count.

    Raises
    ------
    FilmError
        If the file has no such series or several, or some of its data are missing.
    """
    # tifffile accepts a list of pages that breaks off.
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    link = tif.filehandle.read(tif.tiff.offsetsize)
    if len(link) < tif.tiff.offsetsize or any(link):
        count = len(tif.pages)
        raise refusal(path, f"is cut short after {count} frame{'s' if count > 1 else ''}", AGAIN)
    films = [series for series in tif.series if not series.keyframe.is_reduced]
    if not films or 0 in films[0].shape or films[0].keyframe.dtype is None:
        raise refusal(path, "holds no frames", "check that it was saved to the end")
    if len(films) > 1:
        raise refusal(path, f"holds {len(films)} separate images", "save the film alone")
    axes, shape = dimensions(films[0])
    if "S" in axes:
        raise refusal(path, "is a colour (RGB) image", "export the raw film of the camera")
    if axes[-2:] != "YX":
        raise refusal(path, f"has axes {axes} of {shape}, not T,Y,X", "save one film alone")
    page = films[0].keyframe
    if page.compression not in TIFF.DECOMPRESSORS or page.predictor not in TIFF.UNPREDICTORS:
        raise refusal(path, "is compressed in a form that cannot be decoded here", CODEC)
    _check_counts(path, tif, films[0])
    return films[0]


def dimensions(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Axes and lengths of an image, without those of length one other than Y and X.

    Some versions of tifffile omit these axes, others do not.
    """
    sizes = zip(series.axes, series.shape, strict=True)
    kept = [(axis, size) for axis, size in sizes if size > 1 or axis in "YX"]
    return "".join(axis for axis, _ in kept), tuple(size for _, size in kept)


def ome_pixels(tif: TiffFile) -> dict[str, str]:
    """Attributes of the first Pixels element of the OME description, if any."""
    with suppress(ET.ParseError):
        root = ET.fromstring(tif.ome_metadata or "<OME/>")  # noqa: S314 - as tifffile does
        return next((pixels.attrib for pixels in root.iterfind("{*}Image/{*}Pixels")), {})
    return {}


def _check_counts(path: Path, tif: TiffFile, film: TiffPageSeries) -> None:
    count = math.prod(dimensions(film)[1][:-2])
    stated = max(count, _stated_count(tif))
    if count < stated or not _is_complete(film, count):
        raise refusal(path, f"is cut short: it lacks some of the {stated} frames stated", AGAIN)
    if film.kind in {"imagej", "ome"} and len(tif.pages) > count:
        problem = f"holds {len(tif.pages)} frames and its description counts {count}"
        raise refusal(path, problem, "save it as one film, for instance in ImageJ/Fiji")


def _is_complete(film: TiffPageSeries, count: int) -> bool:
    """Whether the file contains the data of all ``count`` frames."""
    if film.dataoffset is not None:
        return film.dataoffset + film.nbytes <= film.keyframe.parent.filehandle.size
    return len(film) == count and all(page is not None and _is_whole(page) for page in film)


def _is_whole(page: TiffPage | TiffFrame) -> bool:
    """Whether the page locates all of its data, and the file contains them."""
    in_one_piece, end = page.is_contiguous, page.parent.filehandle.size
    sizes = (page.nbytes,) if in_one_piece else page.databytecounts
    parts = list(zip(page.dataoffsets, sizes, strict=False))
    inside = all(offset > 0 and 0 < size <= end - offset for offset, size in parts)
    return inside and len(parts) >= (1 if in_one_piece else math.prod(page.chunked))


def _stated_count(tif: TiffFile) -> int:
    """Planes that the ImageJ or OME description states."""
    imagej, ome = tif.imagej_metadata or {}, ome_pixels(tif)
    frames = int(imagej.get("frames", ome.get("SizeT", 1)))
    slices = int(imagej.get("slices", ome.get("SizeZ", 1)))
    return max(frames * slices, int(imagej.get("images", 1)))
