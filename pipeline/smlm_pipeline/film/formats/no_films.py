"""Say what a folder without TIFF files holds, and what to do with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.own_results import is_result_by_name
from smlm_pipeline.film.formats.refusals import refusal

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

FILM_ENDINGS = (
    ".zarr", ".nd2", ".czi", ".lif", ".lof", ".ims", ".h5", ".hdf5", ".sif", ".dcimg", ".spe",
    ".fits", ".fit", ".fits.fz", ".raw", ".stk", ".lsm",
)  # fmt: skip
"""Endings of the other formats that are read."""

_LISTED = 3


def no_film(folder: Path) -> FilmError:
    """The refusal of a folder without a film that names what it holds instead."""
    entries = [path for path in folder.iterdir() if path.name[0] != "."]
    entries += [
        path for inside in entries if inside.is_dir() for path in inside.iterdir()
    ]  # one level down
    films = sorted(str(path.relative_to(folder)) for path in entries if _ends(path, FILM_ENDINGS))
    if films:
        more = ", ..." if len(films) > _LISTED else ""
        problem = f"is a folder with {', '.join(films[:_LISTED])}{more}, and no TIFF files"
        return refusal(folder, problem, f"name one of these, as {folder / films[0]}")
    pictures = Counter(path.suffix.lower() for path in entries if _ends(path, _PICTURES))
    if pictures:
        ((ending, count),) = pictures.most_common(1)
        problem = f"is a folder with {count:,} {ending} files, which are pictures for the screen"
        return refusal(folder, problem, "save the camera's frames as TIFF")
    return refusal(folder, "is a folder without a film", "name the film's file")


def _ends(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings) and not is_result_by_name(path)
