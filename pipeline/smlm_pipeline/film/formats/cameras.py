"""Detect the formats of microscopes' and cameras' programs, and name those that are not read."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.film.formats import czi_blocks, dcimg, fits, hdf5, lif, sif
from smlm_pipeline.film.formats.czi import open_czi
from smlm_pipeline.film.formats.imaris import open_imaris
from smlm_pipeline.film.formats.joined import Opener
from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.formats.spe import is_spe, open_spe

_BIO_FORMATS = "export the film as OME-TIFF with Bio-Formats (in Fiji, or bfconvert)"
_VIDEO = "export the camera's own frames: videos are compressed for the eye"
_PICTURE = "name the film of all frames, or the folder of its single TIFF files"

_UNREAD = {
    "Olympus' format": ("oib oif oir poir vsi ets", _BIO_FORMATS),
    "a format of a microscope": (
        "zvi dv r3d sld sldy mvd2 ids ics nrrd mrc dm3 dm4 xlif xlef xlcf msr obf nd scn cxd his",
        _BIO_FORMATS,
    ),
    "a video": ("avi mp4 m4v mov mkv wmv mpg mpeg webm", _VIDEO),
    "a picture": ("png jpg jpeg bmp gif jp2 webp svg pdf", _PICTURE),
    "raw data of a camera without a description": (
        "dat pmb tsm tsr da xyz bin seq ser cine b16 img smv tdms pds adu",
        "export the film as TIFF with the camera's program",
    ),
    "an archive": ("zip gz bz2 xz zst 7z rar tar tgz", "unpack it and name the film"),
    "a NumPy or MATLAB file": (
        "npy npz mat pkl",
        "save the frames as TIFF (tifffile.imwrite in Python, Tiff in MATLAB)",
    ),
    "a table of localisations or settings": (
        "csv tsv txt json xml yaml yml xls xlsx md",
        "name the film's file or folder",
    ),
}
"""Kinds of files that are not read: endings of names, and how to make a film of them."""


def _open_hdf5(path: Path) -> Source:
    with hdf5.opened(path, "ims" if path.suffix.lower() == ".ims" else "hdf5") as file:
        imaris = "DataSet" in file and "DataSetInfo" in file
    return open_imaris(path) if imaris else hdf5.open_hdf5(path)


_READERS: dict[bytes, Opener] = {
    sif.MAGIC: sif.open_sif,
    dcimg.MAGIC: dcimg.open_dcimg,
    fits.MAGIC: fits.open_fits,
    czi_blocks.MAGIC: open_czi,
    hdf5.MAGIC: _open_hdf5,
}
"""First bytes of a file, and its reader."""


def reader_of(path: Path) -> Opener | None:
    """The reader of a file's format, by its first bytes."""
    with path.open("rb") as file:
        first = file.read(64)
    for magic, reader in _READERS.items():
        if first.startswith(magic):
            return reader
    if lif.is_lif(first):
        return lif.open_lif
    return open_spe if is_spe(path) else None


def refuse_by_name(path: Path) -> None:
    """Refuse a file whose name ends as one of a format that is not read, with a way to export it.

    Raises
    ------
    FilmError
        If the ending is known.
    """
    ending = path.suffix.lower().removeprefix(".")
    for kind, (endings, remedy) in _UNREAD.items():
        if ending in endings.split():
            raise refusal(path, f"is {kind} (.{ending}), which is not read here", remedy)
