"""Find the files of an OME-TIFF film that is divided over several of them."""

from __future__ import annotations

import re
from pathlib import Path

from tifffile import TiffFile


def files_of_set(path: Path) -> set[str]:
    """Names of all files that a TIFF file's OME description names, its own included if any."""
    with TiffFile(path, _multifile=False) as tif:
        description = tif.ome_metadata or ""
    master = _metadata_file(description)
    if master and (path.parent / master).is_file() and master != path.name:
        return {path.name} | files_of_set(path.parent / master)
    return set(re.findall(r'<(?:\w+:)?UUID[^>]*\bFileName="([^"]+)"', description))


def described_in(path: Path) -> Path | None:
    """The TIFF file beside this one that describes its film; None if this one does."""
    with TiffFile(path, _multifile=False) as tif:
        master = _metadata_file(tif.ome_metadata or "")
    if not master or not re.search(r"\.tiff?$", master, re.IGNORECASE):
        return None
    file = path.parent / master
    return file if file.is_file() and file.name != path.name else None


def _metadata_file(description: str) -> str | None:
    """The file that OME's element BinaryOnly refers to."""
    found = re.search(r'<(?:\w+:)?BinaryOnly[^>]*\bMetadataFile="([^"]+)"', description)
    return found[1] if found else None
