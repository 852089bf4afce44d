"""Find the files into which a camera's program divided one film."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tifffile import TiffFile

from smlm_pipeline.film.formats.file_names import by_pattern, natural
from smlm_pipeline.film.formats.joined import Opener, Part, has_frames_alone, join, listed
from smlm_pipeline.film.formats.own_results import is_result_by_name
from smlm_pipeline.film.formats.refusals import DAMAGE
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.formats.tiff_page_count import page_count

_SURE = (re.compile(r"(.+)_X(\d+)", re.IGNORECASE), re.compile(r"(.+)-file(\d+)", re.IGNORECASE))
"""Names that programs give to the parts of one film only: ``film_X2.tif``, ``film-file002.tif``."""

_COUNTED = re.compile(r"(.*?)[ _.-]?(\d+)")
"""Names of parts of one film, or of several films: ``film_0001.tif``."""

_SAMPLES = re.compile(
    r"(?:^|[ _.-])(?:area|cell|ch|channel|cs|dish|field|fov|p|pos|position|region|roi|s|sample|"
    r"scene|series|site|slide|stage|well|xy)s?$",
    re.IGNORECASE,
)
"""Words before a number that count samples, positions or channels, not parts of a film."""

_ENDING = re.compile(r"((?:\.ome)?\.tiff?|\.raw)$", re.IGNORECASE)

_SPLIT_BYTES = 1_900_000_000
"""Programs divide films at 2 or 4 GB: a smaller file may just be followed by another film."""

_SIBLINGS_MAX = 64
"""Files after the named one that are looked at."""


def open_with_siblings(path: Path, opener: Opener) -> Source:
    """Open a film; join the files that continue it, or name those that may.

    Names such as ``film_X2.tif``, and files of equal length as large as a program makes them, are
    certain. Others may be films of their own: these are named in a note.

    Raises
    ------
    FilmError or any error of a format's library
        If a file cannot be read.
    """
    source = opener(path)
    parts, sure = _siblings(path)
    if not parts or source.files or not has_frames_alone(source):
        return source
    own = next(part for part in parts if part.path == path)
    if not sure:
        parts = [*_beginning(own, parts, source), own, *_continuation(own, parts, source)]
    if len(parts) == 1:
        return source
    if own == parts[0] and (sure or path.stat().st_size >= _SPLIT_BYTES):
        source.__exit__(None, None, None)
        return join(path, parts, opener)
    source.notes = (_note(own, parts, sure=sure),)
    return source


def parts_of_folder(files: list[Path], *, chosen: bool) -> list[Part]:
    """The parts of the one film that files of several frames are; empty if that is not certain.

    It is certain where the names say so, or where they count and all files but the last, which
    may be shorter, have the same number of frames. The user may choose other files.
    """
    parts, sure = _counted(files)
    if chosen and not parts:
        ordered = sorted(files, key=lambda file: natural(file.name))
        return [Part(file, number) for number, file in enumerate(ordered)]
    if not parts or sure or chosen:
        return parts
    counts = [_frames_in(part.path) for part in parts]
    consecutive = all(b.number - a.number == 1 for a, b in pairwise(parts))
    equal = len(set(counts[:-1])) == 1 and counts[-1] <= counts[0]
    return parts if consecutive and equal and counts[0] > 1 else []


def _note(own: Part, parts: list[Part], *, sure: bool) -> str:
    """The remark that other files may be of the same film."""
    others = [part.path for part in parts if part is not own]
    verb = "is" if len(others) == 1 else "are"
    found = f"{listed(others)} {verb} beside {own.path.name} and may be of the same film"
    if sure:
        return f"{found}; name {parts[0].path.name} to take them as one"
    return f"{found}; if so, --pattern '{_glob(parts)}' takes them as one"


def _counted(files: Sequence[Path]) -> tuple[list[Part], bool]:
    """Files in the order of the numbers in their names, and whether they are surely one film."""
    for pattern in (*_SURE, _COUNTED):
        parts = _numbered(files, pattern)
        if parts:
            return parts, pattern is not _COUNTED
    return [], False


def _numbered(files: Sequence[Path], pattern: re.Pattern[str]) -> list[Part]:
    """Parts of one film ``film.tif``, ``film_2.tif``, ...; empty if the files are others."""
    stems = [_ENDING.sub("", file.name) for file in files]
    found = [pattern.fullmatch(stem) for stem in stems]
    prefixes = {match[1] for match in found if match}
    numbers = [
        None if stem in prefixes or match is None else int(match[2])
        for stem, match in zip(stems, found, strict=True)
    ]
    bases = {
        stem if number is None or match is None else match[1]
        for stem, number, match in zip(stems, numbers, found, strict=True)
    }
    least = min((number for number in numbers if number is not None), default=None)
    endings = {file.name[len(stem) :].lower() for file, stem in zip(files, stems, strict=True)}
    if least is None or len(bases) > 1 or len(endings) > 1:
        return []
    if pattern is _COUNTED and _SAMPLES.search(next(iter(prefixes))):
        return []
    first = 1 if pattern is not _COUNTED or least == 2 else 0
    filled = [first if number is None else number for number in numbers]
    if len(set(filled)) < len(filled):
        return []
    parts = [Part(file, number) for file, number in zip(files, filled, strict=True)]
    return sorted(parts, key=lambda part: part.number)


def _siblings(path: Path) -> tuple[list[Part], bool]:
    """Files beside a film whose names count with its own, itself among them."""
    own_ending = _ENDING.search(path.name)
    if not own_ending:
        return [], False
    ending, own_stem = own_ending[1].lower(), _ENDING.sub("", path.name)
    files = [
        file
        for file in path.parent.iterdir()
        if file.name.lower().endswith(ending)
        and not file.name.startswith(".")
        and not is_result_by_name(file)
    ]
    for pattern in (*_SURE, _COUNTED):
        own = pattern.fullmatch(own_stem)
        for key in (own_stem, own[1] if own else own_stem):
            alike = [file for file in files if _belongs(_ENDING.sub("", file.name), key, pattern)]
            parts = _numbered(alike, pattern) if len(alike) > 1 else []
            if any(part.path == path for part in parts):
                return parts, pattern is not _COUNTED
    return [], False


def _belongs(stem: str, key: str, pattern: re.Pattern[str]) -> bool:
    match = pattern.fullmatch(stem)
    return stem == key or (match is not None and match[1] == key)


def _beginning(own: Part, parts: list[Part], source: Source) -> list[Part]:
    """The file with the number before, if it is as long as this one or this is the shorter end."""
    before = [part for part in parts if part.number == own.number - 1]
    return [part for part in before if _frames_like(part.path, source) >= source.shape[0]]


def _continuation(own: Part, parts: list[Part], source: Source) -> list[Part]:
    """Files with the next numbers that are of equal length, up to one that is shorter."""
    by_number = {part.number: part for part in parts}
    found = []
    for number in range(own.number + 1, own.number + 1 + _SIBLINGS_MAX):
        part = by_number.get(number)
        count = _frames_like(part.path, source) if part else 0
        if part is None or not 0 < count <= source.shape[0]:
            break
        found.append(part)
        if count < source.shape[0]:
            break
    return found


def _frames_like(path: Path, source: Source) -> int:
    """Frames of a file whose frames have the size and type of a film's; otherwise 0."""
    if path.suffix.lower() == ".raw":
        same = (
            path.stat().st_size <= source.path.stat().st_size
            and path.with_suffix(".yaml").is_file()
        )
        frame_bytes = source.shape[-2] * source.shape[-1] * source.dtype.itemsize
        return path.stat().st_size // frame_bytes if same else 0
    try:
        with TiffFile(path, _multifile=False) as tif:
            page = tif.pages.first
            same = page.shape == source.shape[-2:] and page.dtype == source.dtype
            return page_count(tif) if same else 0
    except DAMAGE:
        return 0


def _frames_in(path: Path) -> int:
    with TiffFile(path, _multifile=False) as tif:
        return page_count(tif)


def _glob(parts: list[Part]) -> str:
    """A glob of the names of the parts."""
    patterns = list(by_pattern(part.path.name for part in parts))
    if len(patterns) == 1:
        return patterns[0]
    name = parts[-1].path.name
    match = _COUNTED.fullmatch(_ENDING.sub("", name))
    return f"{glob.escape(match[1] if match else '')}*{name[len(_ENDING.sub('', name)) :]}"
