"""Detect the format of a film from its content, and open it with the format's reader."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.formats import ndtiff, ome_sets, split_films, tiff, zarr
from smlm_pipeline.film.formats.cameras import reader_of, refuse_by_name
from smlm_pipeline.film.formats.joined import Opener
from smlm_pipeline.film.formats.nd2 import open_nd2
from smlm_pipeline.film.formats.picasso_raw import open_raw
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.formats.tiff_folder import is_tiff, open_folder

OTHER_FORMATS = (
    "ND2, CZI, LIF, Imaris, HDF5, SIF, DCIMG, SPE, FITS, Zarr, NDTiff or raw with a YAML"
)
"""Formats other than TIFF, for messages."""

_ND2_MAGIC = (b"\xda\xce\xbe\x0a", b"\x00\x00\x00\x0c")


def open_source(path: Path, pattern: str | None = None) -> Source:
    """Open a film of any known format.

    ``pattern`` is a glob of the names of the files, of a folder or beside the named one, that are
    the film.

    Raises
    ------
    FilmError or any error of the format's library
        If the path holds no film, or a damaged one.
    SettingError
        If there is a pattern, and the film's format has none.
    """
    if path.is_dir():
        return _open_folder(path, pattern)
    if not path.is_file():  # a pipe is refused too: reading it would block
        problem = "is a device or pipe" if path.exists() else "does not exist"
        raise refusal(path, problem, "check the name of the file")
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise refusal(path, "is empty (0 bytes)", "copy or export it again")
    return _open_file(path, magic, pattern)


def _open_file(path: Path, magic: bytes, pattern: str | None) -> Source:
    """Open a file, with those beside it that match the pattern or surely continue it."""
    if pattern is not None and is_tiff(path):
        return open_folder(path.parent, pattern, named=path)
    if magic in tiff.MAGIC and ndtiff.is_part(path):
        return ndtiff.open_ndtiff(path.parent)
    opener = _opener(path, magic)
    if opener is not None and pattern is not None:
        return split_films.open_chosen(path, pattern, opener)
    if opener is not None:
        return split_films.open_with_siblings(path, opener)
    if pattern is not None:
        raise _no_files(path, pattern)
    if magic in _ND2_MAGIC:
        return open_nd2(path)
    if path.name in {ndtiff.INDEX, *zarr.MARKS}:
        return _open_folder(path.parent)
    if ome_sets.is_companion(path):
        return tiff.open_tiff(ome_sets.first_described(path))
    refuse_by_name(path)
    problem = f"is not a TIFF file, nor {OTHER_FORMATS}"
    if is_tiff(path):
        problem += ", or its header is damaged"
        raise refusal(path, problem, f"{AGAIN}, as TIFF")
    raise refusal(path, problem, "save it as TIFF, as ImageJ/Fiji can")


def _opener(path: Path, magic: bytes) -> Opener | None:
    """The reader of a format of which a film may be divided over several files."""
    if magic in tiff.MAGIC:
        return tiff.open_tiff
    if magic in _ND2_MAGIC:
        return None
    return open_raw if path.suffix.lower() == ".raw" else reader_of(path)


def _no_files(path: Path, pattern: str) -> SettingError:
    return SettingError(
        f"pattern is {pattern!r}; expected none, as {path.name} is neither a folder of TIFF files "
        "nor a film that may be in several files"
    )


def is_film_folder(folder: Path) -> bool:
    """Whether a folder is a film by its format, as Zarr and NDTiff are."""
    marks = (ndtiff.INDEX, f"Full resolution/{ndtiff.INDEX}", *zarr.MARKS)
    return any((folder / mark).is_file() for mark in marks)


def _open_folder(folder: Path, pattern: str | None = None) -> Source:
    if pattern is not None and is_film_folder(folder):
        raise _no_files(folder, pattern)
    if (folder / ndtiff.INDEX).is_file():
        return ndtiff.open_ndtiff(folder)
    if (folder / "Full resolution" / ndtiff.INDEX).is_file():  # of a pyramid
        return ndtiff.open_ndtiff(folder / "Full resolution")
    if any((folder / mark).is_file() for mark in zarr.MARKS):
        return zarr.open_zarr(folder)
    return open_folder(folder, pattern)
