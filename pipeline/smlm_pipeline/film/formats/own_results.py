"""Recognise the files that this program writes, so that none is taken for a part of a film."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from tifffile import TiffFile, TiffFileError

SOFTWARE = "smlm-recon"
"""The program's name in the tag Software of its images."""

_RESULT = re.compile(
    r"\.sr\.(?:(?:sum|uncorrected|drift|resolution|error|widefield|report)\.)?(?:ome\.)?"
    r"(?:tiff?|png|zarr|checkpoint|csv|smlm\.csv|hdf5|h5|yaml|parquet|html|json)$",
    re.IGNORECASE,
)


def is_result_by_name(path: Path) -> bool:
    """Whether the name is one that the program chooses: ``FILM.sr.ome.tif`` and its relatives."""
    return _RESULT.search(path.name) is not None


def is_result(path: Path) -> bool:
    """Whether a TIFF file is an image of this program, whatever its name."""
    if is_result_by_name(path):
        return True
    try:
        with TiffFile(path) as tif:
            page = tif.pages.first
            return page.software == SOFTWARE and page.dtype == "float32"
    except (TiffFileError, OSError, ValueError, TypeError, LookupError):
        return False  # a damaged file is none of ours: its reader says what is wrong


def is_result_folder(folder: Path) -> bool:
    """Whether a folder is an image of this program (OME-Zarr), whatever its name."""
    if is_result_by_name(folder):
        return True
    with suppress(OSError, ValueError, TypeError):
        return SOFTWARE in json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    return False
