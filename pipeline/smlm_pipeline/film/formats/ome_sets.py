"""Find the files of an OME-TIFF film that is divided over several of them."""

from __future__ import annotations

import re
from pathlib import Path

from tifffile import TiffFile

_FILE_NAME = re.compile(r'<(?:\w+:)?UUID[^>]*\bFileName="([^"]+)"')


def files_of_set(path: Path) -> set[str]:
    """Names of all files that a TIFF file's OME description names, its own included if any."""
    with TiffFile(path, _multifile=False) as tif:
        description = tif.ome_metadata or ""
    master = _metadata_file(description)
    if master and (path.parent / master).is_file() and master != path.name:
        return {path.name} | files_of_set(path.parent / master)
    return set(_FILE_NAME.findall(description))


def described_in(path: Path) -> Path | None:
    """The TIFF file beside this one that describes its film; None if this one does."""
    with TiffFile(path, _multifile=False) as tif:
        master = _metadata_file(tif.ome_metadata or "")
    if not master or not re.search(r"\.tiff?$", master, re.IGNORECASE):
        return None
    file = path.parent / master
    return file if file.is_file() and file.name != path.name else None


def others_of_set(path: Path) -> str | None:
    """A warning that a TIFF file is one of several of a film, where only this one can be read."""
    with TiffFile(path, _multifile=False) as tif:
        master = _metadata_file(tif.ome_metadata or "")
    if not master or master == path.name or described_in(path):
        return None
    file = path.parent / master
    if not file.is_file():
        return (
            f"{path.name} is described by {master}, which is not beside it: it may be one of "
            "several files of a film, and is read alone"
        )
    named = set(_FILE_NAME.findall(file.read_text(encoding="utf-8", errors="replace")))
    others = sorted(named - {path.name})
    if not others:
        return None
    listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return f"{master} describes {path.name} and {listed} as one film; {path.name} is read alone"


def _metadata_file(description: str) -> str | None:
    """The file that OME's element BinaryOnly refers to."""
    found = re.search(r'<(?:\w+:)?BinaryOnly[^>]*\bMetadataFile="([^"]+)"', description)
    return found[1] if found else None
