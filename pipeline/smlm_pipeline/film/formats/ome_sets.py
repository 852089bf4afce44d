"""Find the files of an OME-TIFF film that is divided over several of them."""

from __future__ import annotations

import re
from pathlib import Path

from tifffile import TiffFile

from smlm_pipeline.film.formats.refusals import refusal

_FILE_NAME = re.compile(r'<(?:\w+:)?UUID[^>]*\bFileName="([^"]+)"')


def is_companion(path: Path) -> bool:
    """Whether a file is the description of an OME-TIFF film, without frames."""
    if not path.name.lower().endswith((".ome", ".ome.xml")):
        return False
    with path.open("rb") as file:
        return b"<OME" in file.read(1 << 12) or b":OME" in file.read(1 << 12)


def first_described(companion: Path) -> Path:
    """The first file of a film that a companion describes.

    Raises
    ------
    FilmError
        If none of them is beside it.
    """
    names: list[str] = list(dict.fromkeys(_FILE_NAME.findall(_text(companion))))
    there = [companion.parent / name for name in names if (companion.parent / name).is_file()]
    if not there:
        named = f"{names[0]} ... ({len(names)} files)" if names else "no file"
        problem = f"describes {named}, and none is beside it"
        raise refusal(companion, problem, "put the film's files there, with the names they had")
    return there[0]


def files_of_set(path: Path) -> set[str]:
    """Names of all files that a TIFF file's OME description names, its own included if any."""
    description = _description(path)
    master = _master(path, description)
    if master is None:
        return set(_FILE_NAME.findall(description))
    described = _text(master) if not _is_tiff(master) else _description(master)
    return {path.name} | set(_FILE_NAME.findall(described))


def described_in(path: Path) -> tuple[Path, str | None]:
    """The TIFF file with which a film begins, and its description if that is another file."""
    master = _master(path, _description(path))
    if master is None:
        return path, None
    if _is_tiff(master):
        return master, None
    text = _text(master)
    if path.name not in _FILE_NAME.findall(text):
        return path, text if _FILE_NAME.search(text) is None else None
    return first_described(master), text


def others_of_set(path: Path) -> str | None:
    """A warning that a TIFF file is one of several of a film, where only this one can be read."""
    description = _description(path)
    name = _metadata_file(description)
    if not name or name == path.name or _master(path, description):
        return None
    return (
        f"{path.name} is described by {name}, which is not beside it: it may be one of several "
        "files of a film, and is read alone"
    )


def _description(path: Path) -> str:
    with TiffFile(path, _multifile=False) as tif:
        return tif.ome_metadata or ""


def _text(companion: Path) -> str:
    return companion.read_text(encoding="utf-8", errors="replace").strip()


def _is_tiff(path: Path) -> bool:
    return bool(re.search(r"\.tiff?$", path.name, re.IGNORECASE))


def _master(path: Path, description: str) -> Path | None:
    """The file beside a TIFF file that describes its film; None if there is none."""
    name = _metadata_file(description)
    file = path.parent / name if name else path
    return file if file.is_file() and file.name != path.name else None


def _metadata_file(description: str) -> str | None:
    """The file that OME's element BinaryOnly refers to."""
    found = re.search(r'<(?:\w+:)?BinaryOnly[^>]*\bMetadataFile="([^"]+)"', description)
    return found[1] if found else None
