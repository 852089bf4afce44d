"""Find the films in a folder: which files and folders of it are one film each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tifffile import TiffFile

from smlm_pipeline.errors import ReconError
from smlm_pipeline.film.formats import file_names, hdf5
from smlm_pipeline.film.formats.no_films import FILM_ENDINGS
from smlm_pipeline.film.formats.own_results import is_result, is_result_by_name
from smlm_pipeline.film.formats.refusals import damage, reading
from smlm_pipeline.film.formats.registry import is_film_folder, open_source
from smlm_pipeline.film.formats.tiff_folder import is_tiff
from smlm_pipeline.film.formats.tiff_page_count import page_count

_HDF5 = (".h5", ".hdf5")

_TABLES_OF_HDF5 = ("locs", "data/xyz")
"""Picasso's and DECODE's data sets of molecules."""


@dataclass(frozen=True)
class FoundFilm:
    """A film of a folder: its file or folder, and the pattern of its files if it has others."""

    path: Path
    pattern: str | None = None


@dataclass(frozen=True)
class PassedOver:
    """A file of a folder that might be a film by its name and is none."""

    path: Path
    reason: str


def films_in(folder: Path) -> Iterator[FoundFilm | PassedOver]:
    """Find the films in a folder, without those in its folders.

    Hidden files and results of this program are left out. A film of several files is found once.
    A file that cannot be read is found too: its reader says what is wrong.

    Parameters
    ----------
    folder : Path
        The folder; it may be a film itself, as Zarr and NDTiff are.

    Yields
    ------
    FoundFilm or PassedOver
        In the order of their names.
    """
    if is_film_folder(folder):
        yield FoundFilm(folder)
        return
    files = sorted(
        (each for each in folder.iterdir() if each.is_file() and each.name[0] != "."),
        key=lambda file: file_names.natural(file.name),
    )
    tiffs = [file for file in files if is_tiff(file)]
    single, many = _by_frames(tiffs)
    yield from _series(folder, single, many, [file.name for file in tiffs])
    others = [file for file in files if file.name.lower().endswith(FILM_ENDINGS)]
    films = [file for file in (*many, *others) if not is_result_by_name(file)]
    for film in _each_once(sorted(films, key=lambda file: file_names.natural(file.name))):
        if _is_table(film):
            yield PassedOver(film, "is a table of molecules")
        else:
            yield FoundFilm(film)


def _by_frames(tiffs: list[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Files of one frame, by the pattern of their names, and files of several frames.

    The first file of a pattern stands for all: a film may be a hundred thousand files.
    """
    by_name = {file.name: file for file in tiffs if not is_result_by_name(file)}
    single: dict[str, list[Path]] = {}
    many: list[Path] = []
    for pattern, names in file_names.by_pattern(by_name).items():
        files = [by_name[name] for name in names]
        if not _is_single(files[0]):
            many += files
        elif not is_result(files[0]):
            single[pattern] = files
    return single, many


def _is_single(file: Path) -> bool:
    """Whether a TIFF file holds one frame; a damaged one does not."""
    with suppress(*damage(), OSError), TiffFile(file, _multifile=False) as tif:
        return page_count(tif) == 1
    return False


def _series(
    folder: Path, single: dict[str, list[Path]], many: list[Path], beside: list[str]
) -> Iterator[FoundFilm | PassedOver]:
    """The films of single frames in a folder: the folder, or one for each pattern of names."""
    series = {pattern: files for pattern, files in single.items() if len(files) > 1}
    names = [file.name for files in single.values() for file in files]
    if series and not many and (len(single) == 1 or file_names.micro_manager_grid(names)):
        yield FoundFilm(folder)
        return
    for pattern, files in single.items():
        own = file_names.own_pattern(pattern, [file.name for file in files], beside)
        if len(files) == 1 and not _is_part_of_set(files[0]):
            yield PassedOver(files[0], "holds one frame")
        elif own or len(files) == 1:
            yield FoundFilm(folder, own) if len(files) > 1 else FoundFilm(files[0])
        else:
            yield PassedOver(files[0], "is one of a series whose names no pattern tells apart")


def _is_part_of_set(file: Path) -> bool:
    """Whether a file of one frame is a film together with others that its description names."""
    with suppress(ReconError), reading(file), open_source(file) as source:
        return len(source.shape) > 2
    return False


def _each_once(films: Iterable[Path]) -> Iterator[Path]:
    """Films without the further files of one that was found already."""
    taken: set[str] = set()
    films = list(films)
    endings = [film.suffix.lower() for film in films]
    for film in films:
        if film.name in taken:
            continue
        if endings.count(film.suffix.lower()) > 1:  # else there is no further file
            with suppress(ReconError), reading(film), open_source(film) as source:
                taken |= source.files
        yield film


def _is_table(file: Path) -> bool:
    """Whether an HDF5 file is a table of molecules, as far as it can be opened here."""
    if not file.name.lower().endswith(_HDF5):
        return False
    with suppress(ReconError, OSError), hdf5.opened(file, "hdf5") as opened:
        return any(name in opened for name in _TABLES_OF_HDF5)
    return False


def name_of_pattern(pattern: str) -> str:
    """A name for the film whose files match a pattern: ``cellA`` for ``cellA_*.tif``."""
    first = re.sub(r"\.tiff?$", "", pattern.split("|")[0], flags=re.IGNORECASE)
    kept = re.sub(r"\[([^]])\]", r"\1", first)  # a character that was escaped
    kept = re.sub(r"\[0-9\]|[*?]", "", kept)
    return re.sub(r"[^\w.-]+|_+", "_", kept).replace("__", "_").strip("_-. ") or "film"
