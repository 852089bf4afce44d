"""Writes the SR image as OME-TIFF, for measurements, a band of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.atomic_files import written_whole

VALUE_UNIT = "expected number of emitters per SR pixel"
"""Unit of the image's values, in the file's description."""

BAND_BYTES = 1 << 24
"""Most bytes of the float32 image in memory at once."""


class Rows(Protocol):
    """An image that is read by bands of rows: an array, or the view of a sum."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, in SR pixels."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        ...


def bands(image: Rows, multiple: int = 1) -> Iterator[NDArray[np.float32]]:
    """Bands of rows from top to bottom, each of a multiple of ``multiple`` rows but the last."""
    height, width = image.shape
    rows = max(BAND_BYTES // (4 * width) // multiple, 1) * multiple
    for first in range(0, height, rows):
        yield image[first : min(first + rows, height)]


def write_image(
    path: Path, image: Rows, *, sr_pixel_size_nm: float, provenance: Mapping[str, object]
) -> None:
    """Write the image as OME-TIFF, as BigTIFF where it needs to be.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    image : ndarray or Rows, shape (Y, X), float32
        Expected number of emitters per SR pixel; stored as it is.
    sr_pixel_size_nm : float
        Edge of an SR pixel, in nm; for the OME metadata and the resolution
        tags, which ImageJ reads.
    provenance : Mapping
        The making of the image (model, version, frames, levels), kept as JSON in
        the OME description; values that JSON cannot express become text.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    pixels_per_cm = 1e7 / sr_pixel_size_nm
    physical = {f"PhysicalSize{axis}": sr_pixel_size_nm for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
    description = json.dumps({"value": VALUE_UNIT, **provenance}, default=_plain)
    with written_whole(path) as file:
        # tifffile lays out the file and the values follow, because ndarray.tofile,
        # which it would use, can lose the last block on a full disk without an error
        offset_bytes, _ = tifffile.imwrite(  # type: ignore[misc]  # None only without returnoffset
            file,
            shape=image.shape,
            dtype=np.float32,
            ome=True,
            photometric="minisblack",
            metadata={"axes": "YX", **physical, **units, "Description": description},
            resolution=(pixels_per_cm, pixels_per_cm),
            resolutionunit="CENTIMETER",
            software="smlm-recon",
            returnoffset=True,
        )
        file.seek(offset_bytes)
        for band in bands(image):
            file.write(np.ascontiguousarray(band, np.float32).data)


def _plain(value: object) -> object:
    """Stand-in for a provenance value that JSON does not know."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)
