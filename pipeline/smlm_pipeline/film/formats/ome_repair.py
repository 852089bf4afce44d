"""Describe what is left of an OME-TIFF film of several files, some of which are damaged."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from tifffile import TiffFile

from smlm_pipeline.film.formats.refusals import damage


def without_damaged(folder: Path, description: str) -> str:
    """An OME description without the planes whose pages cannot be read in their files.

    Parameters
    ----------
    folder : Path
        The folder of the film's files.
    description : str
        The description of all of them.

    Raises
    ------
    ParseError
        If the description is damaged.
    """
    root = ET.fromstring(description)  # noqa: S314 - as tifffile does
    pages: dict[str, int] = {}
    for pixels in root.iterfind("{*}Image/{*}Pixels"):
        for planes in list(pixels.iterfind("{*}TiffData")):
            uuid = planes.find("{*}UUID")
            name = "" if uuid is None else uuid.get("FileName", "")
            if not (folder / name).is_file():
                continue
            if name not in pages:
                pages[name] = _readable_pages(folder / name)
            first = int(planes.get("IFD", 0))
            stated = int(planes.get("PlaneCount") or planes.get("NumPlanes") or 0)
            stated = stated or (1 if "IFD" in planes.attrib else pages[name])
            count = min(stated, pages[name] - first)
            planes.set("PlaneCount", str(count))
            if count < 1:
                pixels.remove(planes)
    return ET.tostring(root, encoding="unicode")


def _readable_pages(path: Path) -> int:
    """Pages of a file up to the first that is not as its first one."""
    place = 0
    try:
        with TiffFile(path, _multifile=False) as tif:
            first = tif.pages.first
            for place in range(len(tif.pages)):
                page = tif.pages.get(place, aspage=True)
                if page.shape != first.shape or page.dtype != first.dtype or not page.dataoffsets:
                    return place
            return len(tif.pages)
    except damage():
        return place
