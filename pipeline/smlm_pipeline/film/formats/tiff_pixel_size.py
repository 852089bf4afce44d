"""Find the pixel size in a TIFF file: OME, Micro-Manager, MetaMorph, ImageJ, resolution tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tifffile import TiffFile

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.pixel_size import Doubt, Edges
from smlm_pipeline.film.formats.tiff_stated import ome_pixels

_METADATA_BYTES = 1 << 20
"""Start of Micro-Manager's ``metadata.txt`` that is searched; it may be gigabytes long."""

_INCHES = ("inch", "in", "cm")
"""ImageJ's units that printers use: a size of 72 dpi is no mistake to ask about."""


def size_of_tiff(tif: TiffFile) -> tuple[float | None, Doubt | None]:
    """Edge of a camera pixel in nm, and what is doubtful in the file's statements."""
    return pixel_size.settle(_stated(tif))


def size_of_folder(folder: Path, tif: TiffFile) -> tuple[float | None, Doubt | None]:
    """Pixel size from the first file of a folder, else from ``metadata.txt`` beside it."""
    return pixel_size.settle([*_stated(tif), _of_metadata_file(folder / "metadata.txt")])


def _of_metadata_file(path: Path) -> Edges | None:
    """Micro-Manager's description of a folder."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        text = file.read(_METADATA_BYTES).decode("utf-8", "replace")
    return pixel_size.of_text(text, "of metadata.txt")


def _stated(tif: TiffFile) -> Iterator[Edges | None]:
    """All sizes that the file states, the most trusted first."""
    page = tif.pages.first
    yield pixel_size.of_ome(ome_pixels(tif))
    yield pixel_size.of_keys(page.tags.valueof("MicroManagerMetadata"), "um", "of Micro-Manager")
    if tif.is_micromanager and isinstance(tif.micromanager_metadata, Mapping):
        summary = tif.micromanager_metadata.get("Summary")
        yield pixel_size.of_keys(summary, "um", "of Micro-Manager's summary")
    if tif.is_metaseries and isinstance(tif.metaseries_metadata, Mapping):
        yield _of_metamorph(tif.metaseries_metadata.get("PlaneInfo") or {})
    yield _of_stk_or_lsm(tif)
    imagej = tif.imagej_metadata or {}
    unit = str(imagej.get("unit", ""))
    x, y = (1 / value if value else None for value in page.resolution)
    if unit:
        asks = unit.lower() not in _INCHES
        yield pixel_size.edges(x, y, unit, "resolution in ImageJ's unit", asks=asks)
    else:
        yield pixel_size.of_resolution(page.resolution, int(page.resolutionunit))
    if isinstance(imagej.get("Info"), str):
        yield pixel_size.of_text(imagej["Info"], "in ImageJ's info")


def _of_stk_or_lsm(tif: TiffFile) -> Edges | None:
    """The calibration in MetaMorph's tags, or the voxels of Zeiss' LSM."""
    stk, lsm = tif.stk_metadata, tif.lsm_metadata
    if isinstance(stk, Mapping):
        unit = str(stk.get("CalibrationUnits") or "um")
        x, y = (stk.get(f"{axis}Calibration") for axis in "XY")
        return pixel_size.edges(x, y, unit, "MetaMorph's calibration")
    if not isinstance(lsm, Mapping):
        return None
    return pixel_size.edges(lsm.get("VoxelSizeX"), lsm.get("VoxelSizeY"), "m", "LSM's voxels")


def _of_metamorph(plane: Mapping[str, object]) -> Edges | None:
    """The calibration of MetaMorph's description of a plane."""
    if not plane.get("spatial-calibration-state"):
        return None
    x, y = (plane.get(f"spatial-calibration-{axis}") for axis in "xy")
    unit = str(plane.get("spatial-calibration-units", ""))
    return pixel_size.edges(x, y, unit, "MetaMorph's calibration")
