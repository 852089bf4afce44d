"""Find the files into which a camera's program divided one film."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tifffile import TiffFile

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.file_names import by_pattern, matches, natural, own_pattern
from smlm_pipeline.film.formats.joined import Opener, Part, has_frames_alone, join, listed
from smlm_pipeline.film.formats.likeness import are_different
from smlm_pipeline.film.formats.own_results import is_result_by_name
from smlm_pipeline.film.formats.refusals import damage, reading, refusal
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.formats.tiff_page_count import page_count

_SURE = (re.compile(r"(.+)_X(\d+)", re.IGNORECASE), re.compile(r"(.+)-file(\d+)", re.IGNORECASE))
"""Names that programs give to the parts of one film only: ``film_X2.tif``, ``film-file002.tif``."""

_COUNTED = re.compile(r"(.*?)(?:[ _.@#-]| ?\()?(\d+)\)?")
"""Names of parts of one film, or of several films: ``film_0001.tif``, ``film@0001.tif``."""

_COPY = re.compile(r".*\(\d+\)")
"""Names of parts, or of copies that an operating system made: ``film (2).tif``."""

_LOST_MAX = 4
"""Most files in a row that may be missing between two that belong together."""

_SAMPLES = re.compile(
    r"(?:^|[ _.-])(?:area|cell|ch|channel|cs|dish|field|fov|p|pos|position|region|roi|s|sample|"
    r"scene|series|site|slide|stage|well|xy)s?$",
    re.IGNORECASE,
)
"""Words before a number that count samples, positions or channels, not parts of a film."""

_ENDING = re.compile(
    r"((?:\.ome)?\.tiff?|\.raw|\.stk|\.sif|\.spe|\.fits?|\.dcimg|\.ims|\.czi|\.lif)$",
    re.IGNORECASE,
)

_TIFF = (".tif", ".tiff")
"""Endings of files whose frames are counted without a reader."""

_SPLIT_BYTES = 1_900_000_000
"""Programs divide films at 2 or 4 GB: a smaller file may just be followed by another film."""

_PARTS_MAX = 999
"""Largest number of a part in a name that is one of a program."""

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
    with ExitStack() as on_error:
        source = on_error.enter_context(opener(path))
        if len(source.shape) == 2:
            _refuse_one_of_many(path)
        parts, sure = _siblings(path)
        if parts and not source.files and has_frames_alone(source):
            own = next(part for part in parts if part.path == path)
            if not sure:
                before = _beginning(own, parts, source, opener)
                parts = [*before, own, *_continuation(own, parts, source, opener)]
            large = path.stat().st_size >= _SPLIT_BYTES
            if len(parts) > 1 and own == parts[0] and (sure or large):
                first = min(1, own.number) if sure else own.number
                return join(path, parts, opener, first=first, certain=True)
            if sure or (len(parts) > 1 and not _are_others(source, own, parts, opener)):
                source.warnings = (*source.warnings, _note(own, parts, sure=sure))
        on_error.pop_all()
        return source


def open_chosen(path: Path, pattern: str, opener: Opener) -> Source:
    """Open the files beside a film whose names match a pattern, its own among them, as one.

    Raises
    ------
    FilmError or any error of a format's library
        If its name does not match, or a file cannot be read.
    """
    ending = _ending(path)
    files = [file for file in path.parent.iterdir() if matches(file.name, pattern)]
    files = [file for file in files if _ending(file) == ending and not is_result_by_name(file)]
    if path not in files:
        remedy = "give a pattern that its name matches"
        raise refusal(path, f"does not match --pattern {pattern}", remedy)
    parts, _ = parts_of_folder(files, chosen=True)
    return join(path, parts, opener, first=first_number(parts), certain=True)


def parts_of_folder(files: list[Path], *, chosen: bool) -> tuple[list[Part], bool]:
    """The parts of the one film that files of several frames may be, and whether they surely are.

    They are where the names say so or the user chose them. They may be where the names count and
    all files but the last, which may be shorter, have the same number of frames.
    """
    parts, sure = _counted(files)
    if chosen and not parts:
        ordered = sorted(files, key=lambda file: natural(file.name))
        return [Part(file, number) for number, file in enumerate(ordered)], True
    if parts and chosen and _are_no_counts(parts):
        return [Part(part.path, place) for place, part in enumerate(parts)], True
    if not parts or sure or chosen:
        return parts, True
    counts = [_frames_in(part.path) for part in parts]
    consecutive = all(b.number - a.number == 1 for a, b in pairwise(parts))
    equal = len(set(counts[:-1])) == 1 and counts[-1] <= counts[0]
    copies = any(_COPY.fullmatch(_stem(part.path)) for part in parts)
    return parts if consecutive and equal and counts[0] > 1 and not copies else [], False


def _are_no_counts(parts: list[Part]) -> bool:
    """Whether numbers are as far apart as dates, or in equal steps: then none is missing."""
    steps = {after.number - before.number for before, after in pairwise(parts)}
    far = parts[-1].number - parts[0].number > _PARTS_MAX
    return far or (len(parts) > 2 and len(steps) == 1)


def counts_samples(name: str) -> bool:
    """Whether the word before the last number of a name counts samples or positions."""
    found = _COUNTED.fullmatch(name)
    return found is not None and _SAMPLES.search(found[1]) is not None


def first_number(parts: list[Part]) -> int:
    """The number of the first part of a film, which may be missing."""
    sure = any(pattern.fullmatch(_stem(parts[-1].path)) for pattern in _SURE)
    return min(1, parts[0].number) if sure else parts[0].number


def _are_others(source: Source, own: Part, parts: list[Part], opener: Opener) -> bool:
    """Whether the file beside a film in order shows another sample."""
    place = parts.index(own)
    neighbour = parts[place + 1] if own is not parts[-1] else parts[place - 1]
    try:
        with reading(neighbour.path), opener(neighbour.path) as other:
            if not has_frames_alone(other):
                return True
            pair = (source, other) if neighbour.number > own.number else (other, source)
            return are_different(*pair)
    except FilmError:  # it may continue the film although it is damaged
        return False


def _refuse_one_of_many(path: Path) -> None:
    """Refuse a single frame beside which others are."""
    ending = _ending(path)
    files = [file for file in path.parent.iterdir() if ending and _ending(file) == ending]
    names = [file.name for file in files if not is_result_by_name(file)]
    alike = next(group for group in by_pattern([path.name, *names]).values() if path.name in group)
    others = len(set(alike)) - 1
    if others:
        problem = f"holds one frame, and files named alike are beside it ({others:,})"
        raise refusal(path, problem, f"name the folder {path.parent} to take them as one film")


def _note(own: Part, parts: list[Part], *, sure: bool) -> str:
    """The remark that other files may be of the same film."""
    others = [part.path for part in parts if part is not own]
    if not others:
        return (
            f"{own.path.name} seems to continue another file, which is not beside it: it may be a "
            "part of a film"
        )
    verb = "is" if len(others) == 1 else "are"
    found = f"{listed(others)} {verb} beside {own.path.name} and may be of the same film"
    lost = [
        number
        for before, after in pairwise(parts)
        for number in range(before.number + 1, after.number)
    ]
    if lost:
        found = f"{found}, of which number {lost[0]} is not there"
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
    stems = [_stem(file) for file in files]
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
    endings = {_ending(file) for file in files}
    if least is None or len(bases) > 1 or len(endings) > 1:
        return []
    if pattern is _COUNTED and _SAMPLES.search(next(iter(prefixes))):
        return []
    first = min(1, least - 1)  # of the one without a number
    padded = any(match is not None and match[2].startswith("0") for match in found)
    if pattern is _COUNTED and (least > 2 or padded):
        first = 0  # film_2.tif is the second file, and film_0002.tif the third one
    if pattern is not _COUNTED and max(number or 0 for number in numbers) > _PARTS_MAX:
        return []
    filled = [first if number is None else number for number in numbers]
    if len(set(filled)) < len(filled):
        return []
    parts = [Part(file, number) for file, number in zip(files, filled, strict=True)]
    return sorted(parts, key=lambda part: part.number)


def _siblings(path: Path) -> tuple[list[Part], bool]:
    """Files beside a film whose names count with its own, itself among them."""
    ending, own_stem = _ending(path), _stem(path)
    if not ending:
        return [], False
    files = [
        file
        for file in path.parent.iterdir()
        if _ending(file) == ending and not file.name.startswith(".") and not is_result_by_name(file)
    ]
    for pattern in (*_SURE, _COUNTED):
        own = pattern.fullmatch(own_stem)
        keys = [own[1] if own else own_stem] if pattern in _SURE else [own_stem]
        for key in [*keys, own[1]] if own else keys:
            alike = [file for file in files if _belongs(_stem(file), key, pattern)]
            parts = _numbered(alike, pattern) if len(alike) > 1 or pattern in _SURE else []
            if any(part.path == path for part in parts):
                return parts, pattern is not _COUNTED
    return [], False


def _belongs(stem: str, key: str, pattern: re.Pattern[str]) -> bool:
    match = pattern.fullmatch(stem)
    return stem == key or (match is not None and match[1] == key)


def _beginning(own: Part, parts: list[Part], source: Source, opener: Opener) -> list[Part]:
    """The file before, if it is as long as this one or this is the shorter end."""
    numbers = range(own.number - 1 - _LOST_MAX, own.number)
    before = [part for part in parts if part.number in numbers][-1:]
    return [part for part in before if _frames_like(part.path, source, opener) >= source.shape[0]]


def _continuation(own: Part, parts: list[Part], source: Source, opener: Opener) -> list[Part]:
    """Files that follow and are of equal length, up to one that is shorter; some may be missing."""
    found: list[Part] = []
    last = own.number
    for part in parts[parts.index(own) + 1 :][:_SIBLINGS_MAX]:
        count = _frames_like(part.path, source, opener)
        if part.number - last > _LOST_MAX + 1 or not 0 < count <= source.shape[0]:
            break
        found.append(part)
        last = part.number
        if count < source.shape[0]:
            break
    return found


def _frames_like(path: Path, source: Source, opener: Opener) -> int:
    """Frames of a file whose frames have the size and type of a film's; otherwise 0."""
    if not path.is_file():
        return 0
    if path.suffix.lower() == ".raw":
        same = (
            path.stat().st_size <= source.path.stat().st_size
            and path.with_suffix(".yaml").is_file()
        )
        frame_bytes = source.shape[-2] * source.shape[-1] * source.dtype.itemsize
        return path.stat().st_size // frame_bytes if same else 0
    try:
        if path.suffix.lower() not in _TIFF:
            with opener(path) as film:
                same = film.axes == source.axes and film.shape[-2:] == source.shape[-2:]
                return film.shape[0] if same and film.dtype == source.dtype else 0
        with TiffFile(path, _multifile=False) as tif:
            page = tif.pages.first
            same = page.shape == source.shape[-2:] and page.dtype == source.dtype
            return page_count(tif) if same else 0
    except (FilmError, OSError):
        return 0
    except damage():
        return 0


def _frames_in(path: Path) -> int:
    with reading(path), TiffFile(path, _multifile=False) as tif:
        return page_count(tif)


def _glob(parts: list[Part]) -> str:
    """A glob of the names of the parts."""
    names, ending = [part.path.name for part in parts], _ending(parts[0].path)
    beside = [file.name for file in parts[0].path.parent.iterdir() if _ending(file) == ending]
    patterns = list(by_pattern(names))
    last = parts[-1].path
    match = _COUNTED.fullmatch(_stem(last))
    loose = f"{glob.escape(match[1] if match else '')}*{last.name[len(_stem(last)) :]}"
    first = patterns[0] if len(patterns) == 1 else loose
    return own_pattern(first, names, beside) or "|".join(map(glob.escape, names))


def _ending(path: Path) -> str:
    """The ending of a film's name, in one spelling; empty for others."""
    found = _ENDING.search(path.name)
    return found[1].lower().replace(".tiff", ".tif") if found else ""


def _stem(path: Path) -> str:
    """The name without its ending."""
    return _ENDING.sub("", path.name)
