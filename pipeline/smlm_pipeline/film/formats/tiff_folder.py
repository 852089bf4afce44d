"""Read folders of TIFF files: a film of one file for each frame, in one pattern of names."""

from __future__ import annotations

import glob
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from smlm_pipeline.film.formats import file_names, mm_stack, split_films
from smlm_pipeline.film.formats.acquisition_date import date_of_tiff
from smlm_pipeline.film.formats.joined import join
from smlm_pipeline.film.formats.no_films import no_film
from smlm_pipeline.film.formats.ome_sets import files_of_set
from smlm_pipeline.film.formats.own_results import is_result, is_result_by_name
from smlm_pipeline.film.formats.position_folders import open_positions
from smlm_pipeline.film.formats.refusals import AGAIN, damage, reading, refusal
from smlm_pipeline.film.formats.source import Gaps, Source, SourceAtRest, squeezed
from smlm_pipeline.film.formats.tiff import open_tiff
from smlm_pipeline.film.formats.tiff_page_count import page_count
from smlm_pipeline.film.formats.tiff_pixel_size import size_of_folder
from smlm_pipeline.film.formats.tiff_stated import PLANES_MAX
from smlm_pipeline.film.formats.written import written_bytes

_ENDINGS = {".tif", ".tiff"}

_CHECKED_FILES = 64
"""Files of an unusual size in bytes that are opened before the film is read."""

_LAST_COPIED = 4
"""Files that were written last: a copy that was interrupted ends with one of them."""

_FIRST_MAX = 10
"""Largest first number, in lengths of the film, before which files may be missing."""

_RESULTS_MAX = 64
"""More TIFF files than this in a folder are no results of this program."""

_SPREADS = 24
"""Zeros at the ends of files vary where most pixels are 0: the largest of 100,000 is within
these times the difference of median and first decile."""

_ZEROS_MIN = 64
"""Fewer zero bytes at the end of a file are no sign of damage."""

_METADATA_BYTES = 1 << 20
"""Start of Micro-Manager's ``metadata.txt`` that is searched; it may be gigabytes long."""


class FileSeries(SourceAtRest):
    """One file for each plane, all of one shape and type; files that are None are missing."""

    def __init__(self, path: Path, files: Sequence[Path | None], grid: file_names.Grid) -> None:
        self.path, self._files = path, files
        first = next(file for file in files if file is not None)
        with TiffFile(first) as tif:
            page = tif.pages.first
            if page.ndim != 2:
                raise refusal(first, "is no grey image", "export the raw film of the camera")
            self._plane_px, self.dtype = page.shape, np.dtype(page.dtype).newbyteorder("=")
            self.pixel_size_nm, self.pixel_doubt = size_of_folder(first.parent, tif)
            self.acquired = date_of_tiff(tif)
        self.axes, self.shape = squeezed(f"{file_names.AXES}YX", (*grid.shape, *self._plane_px))
        self.labels = grid.labels
        there = np.flatnonzero([file is not None for file in files])
        if len(there) < len(files):
            self.gaps = Gaps(there.astype(np.int64), _missing_name(files, first), AGAIN)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the files of the planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            file = self._files[plane]
            if file is None:
                raise EOFError
            with reading(file), TiffFile(file) as tif:
                self.check(file, tif)
                read[index] = tif.pages.first.asarray()[y, x]
        return read

    def check(self, file: Path, tif: TiffFile) -> None:
        """Refuse a file that is not one frame of the first file's size and type.

        Raises
        ------
        FilmError
            If it is not.
        """
        page, count = tif.pages.first, page_count(tif)
        if count > 1:
            problem = f"holds {count} frames, and the files beside it one each"
            remedy = "name it to take it alone, or choose the others with --pattern"
            raise refusal(file, problem, remedy)
        if page.shape != self._plane_px or np.dtype(page.dtype).newbyteorder("=") != self.dtype:
            problem = f"is {page.shape} {page.dtype}, the first file {self._plane_px} {self.dtype}"
            remedy = "keep the files of one film alone in the folder, or choose with --pattern"
            raise refusal(file, problem, remedy)


def open_folder(folder: Path, pattern: str | None = None, named: Path | None = None) -> Source:
    """Open the one film in a folder of TIFF files.

    Parameters
    ----------
    folder : Path
        The folder.
    pattern : str, optional
        Glob of the names of the film's files; by default all TIFF files.
    named : Path, optional
        A file of the film in the folder, which the user named.

    Raises
    ------
    FilmError or any error of tifffile
        If the folder holds no film or several.
    """
    files = _film_files(folder, pattern)
    if not files:
        return _open_inside(folder, pattern)
    if named is not None and named.name not in {file.name for file in files}:
        remedy = "give a pattern that its name matches, or name the folder"
        raise refusal(named, f"does not match --pattern {pattern}", remedy)
    if mm_stack.is_part(files[0]):
        return mm_stack.open_stack_folder(folder, files)
    readable = _first_readable(files)
    if len(files) == 1 or files_of_set(readable) >= {file.name for file in files}:
        return open_tiff(files[0])
    with TiffFile(readable, _multifile=False) as tif:
        single = page_count(tif) == 1
    grid = file_names.micro_manager_grid([file.name for file in files], _channels(files[0].parent))
    groups = file_names.by_pattern(file.name for file in files)
    if grid is None and len(groups) == 1 and single:
        grid = file_names.grid([file.name for file in files], chosen=pattern is not None)
        if grid is None:
            raise _several_numbers(folder, next(iter(groups)), files)
    if grid is not None and single:
        return _series(folder, files, _with_stated_frames(grid, files[0].parent))
    parts, certain = split_films.parts_of_folder(files, chosen=pattern is not None)
    if parts:
        first = split_films.first_number(parts)
        return join(folder, parts, open_tiff, first=first, certain=certain)
    raise _several(folder, files, groups)


def _film_files(folder: Path, pattern: str | None) -> list[Path]:
    """TIFF files of the folder, without hidden ones and this program's results."""
    found = sorted(
        filter(is_tiff, folder.iterdir()), key=lambda file: file_names.natural(file.name)
    )
    files = [file for file in found if not is_result_by_name(file)]
    chosen = [file for file in files if pattern is None or file_names.matches(file.name, pattern)]
    if not chosen and files:
        names = ", ".join(file.name for file in files[:3])
        problem = f"holds no TIFF file whose name matches --pattern {pattern}"
        raise refusal(folder, problem, f"give a glob of names such as {names}")
    alone = {
        name
        for names in file_names.by_pattern(f.name for f in chosen).values()
        if len(names) == 1
        for name in names
    }
    return [file for file in chosen if file.name not in alone or not is_result(file)]


def _open_inside(folder: Path, pattern: str | None) -> Source:
    """Open the film in the only folder of a folder, or those in its folders as positions."""
    folders = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    inside = [path for path in folders if _holds_film(path)] or [
        path
        for parent in folders
        for path in parent.iterdir()
        if path.is_dir() and path.name[0] != "." and _holds_film(path)
    ]
    inside.sort(key=lambda path: file_names.natural(path.name))
    if not inside:
        raise no_film(folder)
    if len(inside) == 1:  # as Micro-Manager's "Default"
        return open_folder(inside[0], pattern)
    return open_positions(folder, inside, lambda path: open_folder(path, pattern))


def _holds_film(folder: Path) -> bool:
    """Whether a folder has a TIFF file that is no result of this program."""
    files = [file for file in folder.iterdir() if is_tiff(file) and not is_result_by_name(file)]
    return len(files) > _RESULTS_MAX or not all(map(is_result, files))


def _first_readable(files: list[Path]) -> Path:
    """The first file that is not damaged at its start; the first one if all are."""
    for file in files[:_CHECKED_FILES]:
        with suppress(*damage()), TiffFile(file, _multifile=False) as tif:
            if tif.pages.first.shape:
                return file
    return files[0]


def is_tiff(file: Path) -> bool:
    """Whether a file may be one of a folder's film, by its name."""
    return file.suffix.lower() in _ENDINGS and not file.name.startswith(".") and file.is_file()


def _series(folder: Path, files: list[Path], grid: file_names.Grid) -> FileSeries:
    """Files in the order of their places; damaged ones are missing."""
    ordered: list[Path | None] = [None] * math.prod(grid.shape)
    for file in files:
        ordered[int(np.ravel_multi_index(grid.places[file.name], grid.shape))] = file
    for file in _damaged(files):
        ordered[ordered.index(file)] = None
    if not any(ordered):
        raise refusal(folder, "holds no file that can be read", AGAIN)
    series = FileSeries(folder, ordered, grid)
    for file in _unusual(files):
        if file in ordered:
            with TiffFile(file) as tif:
                series.check(file, tif)
    series.warnings = _doubts(folder, files, grid)
    return series


def _doubts(folder: Path, files: list[Path], grid: file_names.Grid) -> tuple[str, ...]:
    """What the names leave open: whether frames are missing, and whether they are frames."""
    found = []
    if grid.is_irregular:
        found.append(
            f"the numbers in the names of {folder.name} follow no rule, as times do; its "
            f"{len(files):,} files are taken in their order, and missing ones cannot be noticed"
        )
    elif isinstance(grid.times, range):
        first, step = grid.times.start, grid.times.step
        if max(1, step) < first <= _FIRST_MAX * step * len(files):
            found.append(
                f"the numbers in the names of {folder.name} begin at {first}: whether files are "
                "missing before it cannot be noticed"
            )
    word = file_names.counted_samples([file.name for file in files])
    if word:
        found.append(
            f"the names of {folder.name} count by {word!r}; its {len(files):,} files are taken as "
            "frames of one film, which they are not if they show several places or depths"
        )
    return tuple(found)


def _unusual(files: list[Path]) -> list[Path]:
    """Files whose size in bytes is not that of most, the largest and smallest first."""
    sizes = {file: file.stat().st_size for file in files}
    ((usual, _),) = Counter(sizes.values()).most_common(1)
    odd = sorted((file for file in files if sizes[file] != usual), key=sizes.__getitem__)
    half = _CHECKED_FILES // 2
    return odd if len(odd) <= _CHECKED_FILES else odd[:half] + odd[-half:]


def _damaged(files: list[Path]) -> list[Path]:
    """Files that do not hold a whole frame.

    Those that end in zeros, that are of unusual size or were copied last are looked at. A frame
    that is all black was taken so, unless it is one of the last and the first is not black.
    """
    suspects = set(_ending_in_zeros(files))
    newest = sorted(files, key=lambda file: file.stat().st_mtime_ns)[-_LAST_COPIED:]
    late = (
        set()
        if files[0] in suspects and _is_whole(files[0], may_be_black=True)
        else {*newest, files[-1]}
    )
    looked_at = dict.fromkeys([*suspects, *_unusual(files), *newest, files[-1]])
    found = {
        file
        for file in looked_at
        if not _is_whole(file, may_be_black=file not in late, zeros=file in suspects)
    }
    return [file for file in files if file in found]


def _is_whole(file: Path, *, may_be_black: bool, zeros: bool = True) -> bool:
    """Whether a file holds a frame; one that ends in ``zeros`` may only be all black."""
    try:
        with TiffFile(file) as tif:
            page = tif.pages.first
            if page.ndim != 2:  # another kind of image, which `FileSeries.check` refuses
                return True
            parts = zip(page.dataoffsets, page.databytecounts, strict=False)
            whole = all(start + size <= tif.filehandle.size for start, size in parts)
            black = written_bytes(file, 1) <= min(page.dataoffsets)
            return whole and (not zeros or (black and may_be_black))
    except damage():
        return False


def _ending_in_zeros(files: list[Path]) -> list[Path]:
    """Files that end in more zeros than those of this film do, as where a copy stopped."""
    sizes = {file: file.stat().st_size for file in files}
    zeros = {file: size - written_bytes(file, 1) for file, size in sizes.items()}
    ordered = sorted(zeros.values())
    usual, few = ordered[len(files) // 2], ordered[len(files) // 10]  # a black border has zeros
    spread = max(_ZEROS_MIN, _SPREADS * (usual - few))
    return [file for file in files if zeros[file] - usual > max(sizes[file] // 32, spread)]


def _missing_name(files: Sequence[Path | None], example: Path) -> str:
    """The first missing file, in words."""
    place = next(place for place, file in enumerate(files) if file is None)
    before = next((file for file in reversed(files[:place]) if file is not None), example)
    return f"a file after {before.name} is not there or is damaged"


def _described(folder: Path) -> str:
    """The start of Micro-Manager's ``metadata.txt``, which may be cut short; empty without one."""
    with suppress(OSError), (folder / "metadata.txt").open("rb") as file:
        return file.read(_METADATA_BYTES).decode("utf-8", "replace")
    return ""


def _channels(folder: Path) -> list[str]:
    """Names of channels in the order of Micro-Manager's summary; empty if unknown."""
    found = re.search(r'"ChNames"\s*:\s*(\[[^\]]*\])', _described(folder))
    with suppress(ValueError):
        return [str(name) for name in json.loads(found[1])] if found else []
    return []


def _with_stated_frames(grid: file_names.Grid, folder: Path) -> file_names.Grid:
    """The grid with all frames that Micro-Manager's summary states, if these are more."""
    found = re.search(r'"Frames"\s*:\s*(\d+)', _described(folder))
    positions, frames, *others = grid.shape
    stated = min(int(found[1]), PLANES_MAX) if found else 0
    if stated <= frames or grid.is_irregular or grid.times[0] != 0:
        return grid
    return replace(grid, shape=(positions, stated, *others), times=range(stated))


def _several_numbers(folder: Path, pattern: str, files: list[Path]) -> Exception:
    by_numbers: dict[str, Path] = {}
    for file in files:
        key = re.sub(r"(?i)\.tiff$", ".tif", re.sub(r"\d+", lambda n: str(int(n[0])), file.name))
        other = by_numbers.setdefault(key.lower(), file)
        if other is not file:
            problem = f"holds {other.name} and {file.name}: a number is there twice"
            return refusal(folder, problem, "keep one of them in the folder")
    problem = f"holds files whose names give no order ({pattern}): several numbers vary"
    before, _, after = re.split(r"(\d+)(?=\D*$)", files[0].name)
    example = f"{glob.escape(before)}*{glob.escape(after)}"
    remedy = (
        f"choose the files of one film with --pattern, such as '{example}', or all with '*' if "
        "they are one film in the order of their numbers"
    )
    return refusal(folder, problem, remedy)


def _several(folder: Path, files: list[Path], groups: dict[str, list[str]]) -> Exception:
    """The refusal of a folder of several films, or of a film with something else beside it."""
    if all("_MMStack" in file.name for file in files):
        remedy = f"name one of {', '.join(file.name for file in files[:3])}"
        return refusal(folder, f"holds {len(files)} positions", remedy)
    if len(groups) == len(files):
        names = ", ".join(file.name for file in files[:3])
        more = ", ..." if len(files) > 2 else ""
        problem = f"holds {len(files)} films ({names}{more})"
        return refusal(folder, problem, "name the file of one, or choose with --pattern")
    kinds = [
        f"{len(names):,} files {pattern}" if len(names) > 1 else names[0]
        for pattern, names in list(groups.items())[:4]
    ]
    more = ", ..." if len(groups) > 4 else ""
    if len(groups) == 1:
        problem = f"holds films of different lengths, or one between them is missing ({kinds[0]})"
        remedy = f"name the file of one, or join them with --pattern '{next(iter(groups))}'"
        return refusal(folder, problem, remedy)
    problem = f"holds files of {len(groups)} kinds ({'; '.join(kinds)}{more})"
    pattern, alike = next(iter(groups.items()))
    own = file_names.own_pattern(pattern, alike, (file.name for file in files))
    choice = f" with --pattern '{own}'" if own else ": move the others out of the folder"
    return refusal(folder, problem, f"choose those of one film{choice}")
