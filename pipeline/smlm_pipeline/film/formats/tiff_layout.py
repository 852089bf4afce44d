"""Find the film among the images of a TIFF file."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from tifffile import TIFF, TiffFile, TiffPageSeries

from smlm_pipeline.film.formats.refusals import CODEC, refusal
from smlm_pipeline.film.formats.tiff_planes import next_page

APART_MAX = 4
"""Most frames before a film that may be another kind of image."""


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
        If the file has no such series, or several.
    """
    films = [series for series in tif.series if not series.keyframe.is_reduced]
    if not films or 0 in films[0].shape or films[0].keyframe.dtype is None:
        raise refusal(path, "holds no frames", "check that it was saved to the end")
    if len(films) > 1 and next_page(tif) == 0:  # of a file that was cut off, the first counts
        raise refusal(path, f"holds {len(films)} separate images", "save the film alone")
    axes, shape = dimensions(films[0])
    if "S" in axes:
        raise refusal(path, "is a colour (RGB) image", "export the raw film of the camera")
    if axes[-2:] != "YX":
        raise refusal(path, f"has axes {axes} of {shape}, not T,Y,X", "save one film alone")
    page = films[0].keyframe
    if page.compression not in TIFF.DECOMPRESSORS or page.predictor not in TIFF.UNPREDICTORS:
        raise refusal(path, "is compressed in a form that cannot be decoded here", CODEC)
    return films[0]


def dimensions(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Axes and lengths of an image, without those of length one other than Y and X.

    Some versions of tifffile omit these axes, others do not.
    """
    sizes = zip(series.axes, series.shape, strict=True)
    kept = [(axis, size) for axis, size in sizes if size > 1 or axis in "YX"]
    return "".join(axis for axis, _ in kept), tuple(size for _, size in kept)


def frames_apart(tif: TiffFile) -> int:
    """Few frames that tifffile wrote as images of their own before a longer one; 0 if none.

    Blocks of a film are equally long, but for the last.
    """
    first = place = _frames_of_block(tif, 0)
    while 0 < place <= APART_MAX:
        following = _frames_of_block(tif, place)
        if following != first:
            return place if following > first else 0
        place += following
    return 0


def _frames_of_block(tif: TiffFile, place: int) -> int:
    """Frames of the image that begins with a page, as its description states; 0 if it does not."""
    if not place < len(tif.pages):
        return 0
    with suppress(ValueError, TypeError, KeyError):
        shape = json.loads(tif.pages[place].aspage().description)["shape"]
        return math.prod(shape[:-2])
    return 0
