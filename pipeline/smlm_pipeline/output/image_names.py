"""The name of an image: by the user's wish, or by its film."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.errors import OutputError

ZARR_ENDING = ".ome.zarr"
"""Ending of an image in OME-Zarr; others are in OME-TIFF."""

IMAGE_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ZARR_ENDING)
"""Endings of the images that are written, in lower case."""

FILM_ENDINGS = (
    *(*IMAGE_ENDINGS, ".zarr", ".nd2", ".raw", ".czi", ".lif", ".lof", ".ims", ".h5"),
    *(".hdf5", ".stk", ".lsm", ".sif", ".dcimg", ".spe", ".fits", ".fits.fz", ".fit"),
)


def image_path(film: Path, output: Path | None) -> Path:
    """The image's path: ``output``, or ``FILM.sr.ome.tif`` in that folder or beside the film.

    An output without an ending is a folder, which may still have to be made. The image of a film
    in a folder has the folder's name and is beside it.

    Raises
    ------
    OutputError
        If no file can have the name.
    """
    if output is not None:
        check_name(output)
    if output is not None and (is_zarr(output) or not _is_folder(output)):
        return output
    named = film if film.name not in ("", "..") else film.resolve()
    name = f"{stem_of(named, FILM_ENDINGS)}.sr.ome.tif"
    return output / name if output is not None else named.with_name(name)


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, or would be one if it was made."""
    return path.is_dir() or not (path.suffix or path.exists())


def check_name(path: Path) -> None:
    """Refuse a path that no file can have.

    Raises
    ------
    OutputError
        If a name in it is too long, has a NUL, or is a link to itself.
    """
    try:
        path.resolve().lstat()
    except FileNotFoundError:
        return
    except (OSError, RuntimeError, ValueError) as error:  # a loop is a RuntimeError
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"{path} cannot be written: {reason}; expected the name of a file that can exist: "
            "choose another"
        ) from error


def is_zarr(path: Path) -> bool:
    """Whether a path is the name of an image in OME-Zarr."""
    return path.name.lower().endswith(ZARR_ENDING)


def stem_of(path: Path, endings: tuple[str, ...]) -> str:
    """The name without its ending."""
    name = path.name
    ending = next((ending for ending in endings if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
