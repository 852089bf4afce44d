"""Count the frames of a TIFF file without listing more of it than needed."""

from __future__ import annotations

import math

from tifffile import TiffFile


def page_count(tif: TiffFile) -> int:
    """Frames in one file; previews do not count. Opened alone, without the files it refers to."""
    pages = tif.pages
    if pages.is_multipage:
        reduced = pages[1].aspage().is_reduced
        return len(pages) - 1 if reduced else len(pages)
    if tif.is_imagej or tif.is_shaped:  # one page may stand for all frames
        series = tif.series[0]
        sizes = zip(series.axes, series.shape, strict=True)
        return math.prod(size for axis, size in sizes if axis not in "YXS")
    return 1
