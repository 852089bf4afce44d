"""Writes the SR image as OME-TIFF, for measurements, a band of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

import smlm_pipeline
from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_xml import ome_xml
from smlm_pipeline.output.pyramid import LARGE_EDGE_PX, TILE_PX, Pyramid, Rows, bands

SOFTWARE = "smlm-recon"
"""The tag by which this program knows its own images."""

_BIG_BYTES = (1 << 32) - (1 << 25)
"""Larger files are BigTIFF; compression may enlarge noise by a thousandth."""


def write_image(path: Path, image: Rows, facts: ImageFacts) -> None:
    """Write the image as OME-TIFF, as BigTIFF where it needs to be.

    An image of more than ``LARGE_EDGE_PX`` along an edge is compressed (zlib), in tiles, with a
    pyramid of means in SubIFDs, as OME-TIFF 6 has them. A smaller one is uncompressed, which every
    program reads.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    image : ndarray or Rows, shape (Y, X), float32
        Expected number of emitters per SR pixel; stored as it is.
    facts : ImageFacts
        For the OME metadata; the pixel size also for the resolution tags, which ImageJ reads.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    _write(path, [image], facts)


def write_channels(path: Path, images: Mapping[str, Rows], facts: ImageFacts) -> None:
    """Write the images of several channels, of one shape, as one OME-TIFF; see `write_image`.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    images : Mapping of str to Rows
        The image of each channel, by its name; two at most.
    facts : ImageFacts
        For the OME metadata, but for the names of the channels.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    _write(path, list(images.values()), replace(facts, channels=tuple(images)))


def _write(path: Path, images: Sequence[Rows], facts: ImageFacts) -> None:
    with written_whole(path) as file:
        if max(images[0].shape[:2]) > LARGE_EDGE_PX:
            _write_tiles(file, path.parent, images, facts)
        else:
            _write_plain(file, images, facts)


def _write_plain(file: BinaryIO, images: Sequence[Rows], facts: ImageFacts) -> None:
    # tifffile lays out the file and the values follow, because ndarray.tofile,
    # which it would use, can lose the last block on a full disk without an error
    offset_bytes, _ = tifffile.imwrite(  # type: ignore[misc]  # None only without returnoffset
        file,
        shape=(len(images), *images[0].shape),
        dtype=np.float32,
        photometric="minisblack",
        description=_description(images[0], facts),
        metadata=None,
        resolution=(_pixels_per_cm(facts), _pixels_per_cm(facts)),
        resolutionunit="CENTIMETER",
        software=SOFTWARE,
        returnoffset=True,
    )
    file.seek(offset_bytes)
    for image in images:
        for band in bands(image):
            file.write(np.ascontiguousarray(band, np.float32).data)


def _write_tiles(file: BinaryIO, folder: Path, images: Sequence[Rows], facts: ImageFacts) -> None:
    height, width = images[0].shape[:2]
    total_bytes = len(images) * 4 * height * width * 4 // 3
    with tifffile.TiffWriter(file, bigtiff=total_bytes > _BIG_BYTES) as tiff:
        for number, image in enumerate(images):
            description = None if number else _description(image, facts)
            with Pyramid(image, folder) as pyramid:
                _write_pyramid(tiff, pyramid, description, _pixels_per_cm(facts))


def _write_pyramid(
    tiff: tifffile.TiffWriter, pyramid: Pyramid, description: bytes | None, pixels_per_cm: float
) -> None:
    for level, pixels in enumerate(pyramid.levels()):
        per_cm = pixels_per_cm * pixels.shape[1] / pyramid.shapes[0][1]
        tiff.write(
            _tiles(pixels.bands()),
            shape=pixels.shape,
            dtype=np.float32,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            photometric="minisblack",
            description=description if not level else None,
            metadata=None,
            subifds=pyramid.count - 1 if not level else 0,
            subfiletype=1 if level else 0,
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            software=SOFTWARE,
        )


def _tiles(of_rows: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Tiles from left to right and top to bottom; the last ones are filled up by zeros."""
    for band in of_rows:
        below, beside = (-edge % TILE_PX for edge in band.shape)
        padded = np.pad(band, ((0, below), (0, beside))) if below or beside else band
        for top in range(0, len(padded), TILE_PX):
            for left in range(0, padded.shape[1], TILE_PX):
                tile = padded[top : top + TILE_PX, left : left + TILE_PX]
                yield np.ascontiguousarray(tile, np.float32)


def _description(image: Rows, facts: ImageFacts) -> bytes:
    software = f"{SOFTWARE} {smlm_pipeline.__version__}"
    return ome_xml(image.shape, facts, software=software)


def _pixels_per_cm(facts: ImageFacts) -> float:
    return 1e7 / facts.sr_pixel_size_nm
