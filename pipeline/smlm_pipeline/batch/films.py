"""Find the films of a batch: in folders and their folders, in lists, and named ones."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.formats.film_folders import (
    FoundFilm,
    PassedOver,
    films_in,
    name_of_pattern,
)
from smlm_pipeline.film.formats.own_results import is_result, is_result_folder
from smlm_pipeline.film.formats.registry import is_film_folder
from smlm_pipeline.film.formats.tiff_folder import is_tiff
from smlm_pipeline.output.image_names import image_path

LIST_ENDINGS = (".txt", ".lst", ".list")
"""Endings of lists of films: one path a line, relative to the list; # begins a comment."""


@dataclass(frozen=True)
class BatchFilm:
    """A film of a batch.

    Attributes
    ----------
    path : Path
        Its file or folder.
    name : str
        Its path within the searched folder, with ``/``; unique in a batch.
    image : Path
        The image to write.
    pattern : str or None
        Pattern of its files in a folder of several series; see `Selection.pattern`.
    """

    path: Path
    name: str
    image: Path
    pattern: str | None = None


@dataclass(frozen=True)
class Search:
    """Where and how films are searched.

    Attributes
    ----------
    inputs : sequence of Path
        Folders, lists, films, or glob patterns that the shell did not expand.
    output : Path
        The folder of the results, which is not searched.
    include, exclude : sequence of str
        Globs of names, or of paths within the searched folder; by default all are included.
    sub_folders : bool
        Whether folders of a folder are searched too.
    beads : Path, optional
        The film of beads that registers two channels, which is not one of the films.
    """

    inputs: Sequence[Path]
    output: Path
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    sub_folders: bool = True
    beads: Path | None = None


def find_films(search: Search) -> tuple[list[BatchFilm], list[PassedOver]]:
    """Find all films of a batch, and what was passed over.

    Returns
    -------
    films : list of BatchFilm
        In the order of the inputs, and of their names within a folder.
    passed_over : list of PassedOver
        Files that look like films and are none.

    Raises
    ------
    FilmError
        If there is no film.
    SettingError
        If an input is not there, or is the output; a list is no text; or two films would get the
        same image.
    """
    _check_inputs(search.inputs)
    _check_output(search)
    found: dict[tuple[Path, str | None], tuple[FoundFilm, str]] = {}
    passed: list[PassedOver] = []
    beads = None if search.beads is None else search.beads.resolve()
    for each, name in _found(search):
        if isinstance(each, PassedOver):
            passed.append(each)
        elif each.path.resolve() == beads:
            passed.append(PassedOver(each.path, "is the film of beads"))
        else:
            found.setdefault((each.path.resolve(), each.pattern), (each, name))
    if not found:
        asked = ", ".join(map(str, search.inputs))
        raise FilmError(
            f"there is no film in {asked}; expected folders with films, films, or a list of them "
            f"({', '.join(LIST_ENDINGS)}): check the names, and --include and --exclude"
        )
    films = [_named(film, name, search.output) for film, name in found.values()]
    return _apart(films), passed


def _check_inputs(inputs: Sequence[Path]) -> None:
    """Refuse inputs that are not there, which were mistyped; a list may name films that are not."""
    absent = [path for path in inputs if not (_exists(path) or _matches(path))]
    if absent:
        raise SettingError(
            f"there is no {' and no '.join(map(str, absent))}; expected folders with films, lists "
            "of films, or films: check the names"
        )


def _check_output(search: Search) -> None:
    """Refuse to write among the films, where results would be mixed up with them."""
    output = search.output.resolve()
    if any(path.is_dir() and path.resolve() == output for path in search.inputs):
        raise SettingError(
            f"-o is {search.output}, the folder of the films itself; expected another folder for "
            f"the results, so that films and results stay apart: give -o {output.name}-sr, or a "
            "folder within it"
        )


def _exists(path: Path) -> bool:
    """Whether there is such a file or folder; not of a name that no file can have."""
    return os.path.exists(path)  # noqa: PTH110 - which raises nothing


def _matches(path: Path) -> bool:
    """Whether it is a glob that the shell left as it is, and matches something."""
    text = str(path)
    return glob.has_magic(text) and any(glob.iglob(text, recursive=True))  # noqa: PTH207


def _found(search: Search) -> Iterator[tuple[FoundFilm | PassedOver, str]]:
    """What the inputs hold, each with its name."""
    entries = [entry for path in search.inputs for entry in _entries(path)]
    several = sum(path.is_dir() for path, _ in entries) > 1
    for path, base in entries:
        if path.is_dir() and not is_film_folder(path):
            root = path.resolve().parent if several else path
            yield from _in_folder(path, root if several else path, search, set())
        elif is_result_folder(path) or (is_tiff(path) and is_result(path)):
            yield PassedOver(path, "is a result of this program"), path.name
        else:
            yield FoundFilm(path), _relative(path, base)


def _entries(path: Path) -> Iterator[tuple[Path, Path]]:
    """A path of the user, or those of a list or glob, each with the folder that names begin at."""
    if path.is_file() and path.name.lower().endswith(LIST_ENDINGS):
        for line in _lines(path):
            entry = line.strip().strip("\"'")
            if entry and not entry.startswith("#"):
                yield path.parent / entry, path.parent
    elif not _exists(path) and glob.has_magic(str(path)):
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - any root
            yield Path(name), Path(name).parent
    else:
        yield path, path.parent


def _lines(path: Path) -> list[str]:
    """The lines of a list."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingError(
            f"{path} cannot be read as a list of films ({reason}); expected one path a line"
        ) from error
    if "\0" in text:
        raise SettingError(
            f"{path} cannot be read as a list of films (it is no text); expected one path a line"
        )
    return text.splitlines()


def _in_folder(
    folder: Path, root: Path, search: Search, seen: set[Path]
) -> Iterator[tuple[FoundFilm | PassedOver, str]]:
    """The films of a folder, and then those of its folders."""
    place = folder.resolve()
    if place in seen or place == search.output.resolve() or is_result_folder(folder):
        return
    seen.add(place)
    for each in films_in(folder):
        name = _relative(each.path.resolve(), root.resolve())
        if isinstance(each, FoundFilm) and each.pattern is not None:
            above = "" if place == root.resolve() else f"{name}/"
            name = f"{above}{name_of_pattern(each.pattern)}"
        if _is_wanted(name, search):
            yield each, name
    if search.sub_folders and not is_film_folder(folder):
        inside = [each for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
        for below in sorted(inside):
            yield from _in_folder(below, root, search, seen)


def _is_wanted(name: str, search: Search) -> bool:
    """Whether the globs include a film, by its name or by its path within the folder."""
    last = PurePosixPath(name).name

    def matches(globs: Iterable[str]) -> bool:
        return any(fnmatch(last, each) or fnmatch(name, each) for each in globs)

    return (not search.include or matches(search.include)) and not matches(search.exclude)


def _relative(path: Path, root: Path) -> str:
    """The path within a folder; the name alone of what is elsewhere, or is the folder itself."""
    try:
        name = path.relative_to(root).as_posix()
    except ValueError:
        return path.name
    return path.resolve().name if name == "." else name


def _named(film: FoundFilm, name: str, output: Path) -> BatchFilm:
    folder = output / PurePosixPath(name).parent
    image = folder / image_path(Path(PurePosixPath(name).name), None).name
    return BatchFilm(film.path, name, image, film.pattern)


def _apart(films: list[BatchFilm]) -> list[BatchFilm]:
    """Give films that differ in their endings alone images that keep the endings.

    Raises
    ------
    SettingError
        If two would still get the same image.
    """
    images = [film.image for film in films]
    kept = [
        film
        if images.count(film.image) == 1
        else replace(film, image=film.image.with_name(f"{film.path.name}.sr.ome.tif"))
        for film in films
    ]
    owners: dict[Path, BatchFilm] = {}
    for film in kept:
        other = owners.setdefault(film.image, film)
        if other is not film:
            raise SettingError(
                f"{other.path} and {film.path} would both become {film.image}; expected names of "
                "their own: rename one, or give them in two calls with two folders -o"
            )
    return kept
