"""Read FITS films with the package astropy."""

from __future__ import annotations

import math
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.pixel_size import Edges
from smlm_pipeline.film.formats.positions import Positions
from smlm_pipeline.film.formats.refusals import AGAIN, extra, refusal
from smlm_pipeline.film.formats.source import Gaps, Source

MAGIC = b"SIMPLE  ="
"""First bytes of a FITS file."""

_PROBED_BYTES = 1 << 29
"""Planes of this size are decoded to see their type."""


class FitsSource(Source):
    """The planes of one image, or a plane of each of several images."""

    def __init__(self, path: Path, opened: BinaryIO, images: list[Any], count: int) -> None:
        self.path, self._opened, self._images = path, opened, images
        self.axes, self.shape = "TYX", (count, *images[0].shape[-2:])
        self.dtype = np.dtype(np.float64)
        self.unwritten_value = float(images[0].header.get("BZERO", 0))
        if self.decoded_bytes < _PROBED_BYTES:  # larger ones are checked against memory first
            self.dtype = self._plane(0).dtype.newbyteorder("=")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([_edges(images[0].header)])
        self.gaps = _gaps(path, images, count)

    @property
    def decoded_bytes(self) -> int:
        """A plane, and the tile of a compressed image."""
        tile = getattr(self._images[0], "tile_shape", ())
        return super().decoded_bytes + math.prod(tile) * self.dtype.itemsize

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._opened.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._opened.closed

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            read[index] = self._plane(plane)[y, x]
        return read

    def _plane(self, plane: int) -> NDArray[Any]:
        several = len(self._images) > 1
        image = self._images[plane if several else 0]
        place = () if several else np.unravel_index(plane, image.shape[:-2])
        try:
            values = image.section[(*place, slice(None), slice(None))]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # astropy does not export its decoders' error
            raise refusal(self.path, f"is damaged in plane {plane}", AGAIN) from error
        return np.asarray(values).reshape(self.shape[-2:])


def open_fits(path: Path) -> Source:
    """Open the film of a FITS file; several images of T,Y,X are positions.

    Raises
    ------
    FilmError
        If the package astropy is missing, or the file holds no film.
    """
    with extra(path, "fits"):
        from astropy.io import fits  # an extra, which most films do not need
    with ExitStack() as on_error, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cut file is found by its size
        opened = on_error.enter_context(path.open("rb"))
        try:
            hdus = fits.open(opened, memmap=False, lazy_load_hdus=False)
            hdus.verify("silentfix+exception")
        except fits.VerifyError as error:
            raise refusal(path, "is cut short or damaged in its header", AGAIN) from error
        images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) > 1]
        films = [image for image in images if len(image.shape) > 2] or images
        if not films:
            raise refusal(path, "holds no image", "check that it was saved to the end")
        cubes = len(films[0].shape) > 2
        alike = {(image.shape, image.header.get("BITPIX")) for image in films}
        if not cubes and len(alike) > 1:
            shapes = ", ".join(str(image.shape) for image in films[:4])
            problem = f"holds {len(films)} images that differ: {shapes}"
            raise refusal(path, problem, "save the film alone, as one image of T,Y,X")
        groups = [[image] for image in films] if cubes else [films]
        sources = [FitsSource(path, opened, group, _count(path, group)) for group in groups]
        names = [str(group[0].name or f"image {i}") for i, group in enumerate(groups)]
        source = sources[0] if len(sources) == 1 else Positions(path, sources, names)
        on_error.pop_all()
        return source


def _count(path: Path, images: list[Any]) -> int:
    """Frames of one image of T,Y,X, or of several images of Y,X."""
    leading = [size for size in images[0].shape[:-2] if size > 1]
    if len(leading) > 1:
        raise refusal(
            path, f"holds an image of {images[0].shape}, not T,Y,X", "save one film alone"
        )
    return len(images) if len(images) > 1 else max(leading, default=1)


def _gaps(path: Path, images: list[Any], count: int) -> Gaps | None:
    """The planes whose values are in the file to their end; a compressed image is whole or not."""
    size_bytes, places = path.stat().st_size, [image.fileinfo() for image in images]
    starts = np.array([place["datLoc"] for place in places])
    plane_bytes = int(np.prod(images[0].shape[-2:])) * abs(int(images[0].header["BITPIX"])) // 8
    if len(images) > 1:
        spans = np.array([min(place["datSpan"], plane_bytes) for place in places])
        ends = starts + spans
    elif hasattr(images[0], "compression_type"):
        ends = starts + places[0]["datSpan"] + np.zeros(count, int)
    else:
        ends = starts + plane_bytes * np.arange(1, count + 1)
    if ends[-1] <= size_bytes:
        return None
    return Gaps(np.flatnonzero(ends <= size_bytes), "the file ends early", AGAIN)


def _edges(header: Any) -> Edges | None:
    """The steps of the world coordinates, if they are lengths."""
    x, y = (abs(float(header.get(f"CDELT{axis}", 0))) for axis in (1, 2))
    unit = str(header.get("CUNIT1", "")).strip()
    return pixel_size.edges(x, y, unit, "CDELT1", asks=False)
