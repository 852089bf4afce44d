"""Opening the film: checks once what it is, then hands out frames a few at a time.

A film stored as one uncompressed block is mapped, any other is decoded page by page;
either way no more of it is in memory than was asked for.
"""

from __future__ import annotations

import logging
import lzma
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from tifffile import TIFF, TiffFile, TiffFrame, TiffPage, TiffPageSeries

from smlm_pipeline import contract
from smlm_pipeline.errors import StackError

PIXEL_SIZE_RANGE_NM = (10.0, 1000.0)
"""Sizes believed, the last excluded: 72 dpi is 352,778 nm, no calibration often 1000 nm."""

_AGAIN = "copy or export it again"
_CODEC = "install imagecodecs (pip install imagecodecs) or save it uncompressed"
_NM_PER_UNIT = {"nm": 1.0, "mm": 1e6, "cm": 1e7, "m": 1e9, "in": 2.54e7, "inch": 2.54e7}
_NM_PER_UNIT |= dict.fromkeys(("um", "\u00b5m", "\u03bcm", r"\u00b5m", "micron", "microns"), 1e3)
_NM_PER_UNIT |= {"2": 2.54e7, "3": 1e7, "4": 1e6, "5": 1e3}  # TIFF's own codes

_DAMAGE = (  # tifffile has no root for its errors: fuzzing it and its codecs raised these
    ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RuntimeError, EOFError,
    struct.error, zlib.error, lzma.LZMAError,
)  # fmt: skip


class Stack(AbstractContextManager["Stack"]):
    """An open film, made by `open_stack`; a context manager that closes the file.

    Attributes
    ----------
    path : Path
        Where the film lies.
    frame_count, height_px, width_px : int
        Shape of the film: T, Y, X.
    pixel_size_nm : float or None
        Edge of a camera pixel in the sample; None if the file does not tell.
    """

    def __init__(self, path: Path, tif: TiffFile, film: TiffPageSeries) -> None:
        self.path = path
        self.frame_count, self.height_px, self.width_px = film.get_shape(squeeze=True)
        self.pixel_size_nm = _pixel_size_nm(tif)
        self._tif, self._film = tif, film

    def __exit__(self, *_: object) -> None:
        self._tif.close()

    def read(self, first: int, last: int) -> NDArray[np.uint16]:
        """Frames ``first`` to ``last - 1``, and nothing else of the film.

        Parameters
        ----------
        first, last : int
            Range of frames, 0 <= first < last <= frame_count.

        Returns
        -------
        ndarray, shape (last - first, Y, X), uint16
            Frames in ADU, independent of the file.

        Raises
        ------
        StackError
            If the range is not in the film, the file is damaged there, or it is closed.
        """
        if not 0 <= first < last <= self.frame_count:
            holds = f"has frames 0 to {self.frame_count - 1}, not {first} to {last - 1}"
            raise _refusal(self.path, holds, "ask for one frame or more of those")
        if self._tif.filehandle.closed:
            raise _refusal(self.path, "was closed", "read it inside its with block")
        size = (last - first, self.height_px, self.width_px)
        with _reading(self.path, f" in frames {first} to {last - 1}"):
            if self._film.dataoffset is None:
                decoded = self._tif.asarray(key=range(first, last), series=self._film)
                return decoded.reshape(size).astype(np.uint16, copy=False)
            # Mapped anew each time: a mapping counts all it ever read as memory of the
            # process. Reading one beyond the end of the file would kill it, so look first.
            file, stored = self._tif.filehandle, self._tif.byteorder + self._film.dtype.char
            frame_bytes = self._film.nbytes // self.frame_count
            start, end = (self._film.dataoffset + i * frame_bytes for i in (first, last))
            if end > os.fstat(file.fileno()).st_size:
                raise EOFError
            return np.array(file.memmap_array(stored, size, start), np.uint16)


def open_stack(path: Path) -> Stack:
    """Open a TIFF film and check that it is one, without reading it.

    Parameters
    ----------
    path : Path
        A TIFF, BigTIFF, ImageJ or OME-TIFF file of 8- or 16-bit unsigned frames.

    Returns
    -------
    Stack
        The open film; leaving its ``with`` block closes it.

    Raises
    ------
    StackError
        If the file cannot be read, is cut short, or is not a film of grey frames.
    """
    with _reading(path), ExitStack() as on_error:
        _check_file(path)
        tif = on_error.enter_context(TiffFile(path))
        if _is_piecewise(tif):
            tif.close()
            tif = on_error.enter_context(TiffFile(path, is_shaped=False))
        film = _film(path, tif)
        _check_counts(path, tif, film)
        stack = Stack(path, tif, film)
        stack.read(0, 1)  # now rather than in the first chunk: can it be decoded?
        on_error.pop_all()
        return stack


@contextmanager
def _reading(path: Path, where: str = "") -> Iterator[None]:
    """Turn what the system, tifffile and its codecs raise into `StackError`."""
    silence = logging.Filter("smlm_pipeline")  # its own, lest one use lifts another's
    logging.getLogger("tifffile").addFilter(silence)
    try:
        yield
    except StackError:
        raise
    except (NotImplementedError, ImportError) as error:
        raise _refusal(path, "is stored in a form that cannot be decoded here", _CODEC) from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise _refusal(path, reason, "check its permissions and the disk or share") from error
    except _DAMAGE as error:
        raise _refusal(path, f"is cut short or damaged{where}", _AGAIN) from error
    finally:
        logging.getLogger("tifffile").removeFilter(silence)


def _refusal(path: Path, what: str, remedy: str) -> StackError:
    return StackError(f"{path} {what}; expected a TIFF film of grey 8- or 16-bit frames: {remedy}")


def _check_file(path: Path) -> None:
    if not path.is_file():  # a pipe is refused too: it would be waited for
        what = "is a folder or device" if path.exists() else "does not exist"
        raise _refusal(path, what, "check the name of the file")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        what = "is not a TIFF file" if magic else "is empty (0 bytes)"
        raise _refusal(path, what, "save the film as TIFF, for instance in ImageJ/Fiji")


def _is_piecewise(tif: TiffFile) -> bool:
    """Whether tifffile wrote a frame or block at a time, each as an image of its own."""
    # The second page is asked first: one series for each frame is slow to list.
    return (tif.is_shaped and tif.pages.is_multipage) and (
        tif.pages[1].aspage().is_shaped
        or (len(tif.series) > 1 and all(len(s.get_axes(squeeze=True)) < 4 for s in tif.series))
    )


def _film(path: Path, tif: TiffFile) -> TiffPageSeries:
    """Find the one series of grey counts, of axes (T),Y,X; previews do not count."""
    # tifffile takes what is left of a list of pages that breaks off.
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    link = tif.filehandle.read(tif.tiff.offsetsize)
    if len(link) < tif.tiff.offsetsize or any(link):
        raise _refusal(path, f"is cut short after {len(tif.pages)} frames", _AGAIN)
    films = [series for series in tif.series if not series.keyframe.is_reduced]
    if not films or 0 in films[0].shape or films[0].keyframe.dtype is None:
        raise _refusal(path, "holds no frames", "check that it was saved to the end")
    if len(films) > 1:
        raise _refusal(path, f"holds {len(films)} separate images", "save the film alone")
    axes, shape = films[0].get_axes(squeeze=True), films[0].get_shape(squeeze=True)
    if "S" in axes:
        raise _refusal(path, "is a colour (RGB) image", "export the raw film of the camera")
    if "C" in axes:
        remedy = "save one channel; if they are frames, ImageJ: Hyperstacks > Re-order"
        raise _refusal(path, f"has several channels (axes {axes}, {shape})", remedy)
    if axes[-2:] != "YX" or axes[:-2] not in {"", "T", "Z", "I", "Q"}:
        raise _refusal(path, f"has axes {axes} of {shape}, not T,Y,X", "save one film alone")
    page, dtype = films[0].keyframe, films[0].dtype
    if page.compression not in TIFF.DECOMPRESSORS or page.predictor not in TIFF.UNPREDICTORS:
        raise _refusal(path, "is compressed in a form that cannot be decoded here", _CODEC)
    if dtype not in (np.uint8, np.uint16):
        nan = dtype.kind == "f" and np.isnan(page.asarray()).any()
        holds = f"holds {dtype.name} values{', some of them NaN' if nan else ''}"
        raise _refusal(path, holds, "save it as 16-bit unsigned (ImageJ: Image > Type > 16-bit)")
    return films[0]


def _check_counts(path: Path, tif: TiffFile, film: TiffPageSeries) -> None:
    *frames, height_px, width_px = film.get_shape(squeeze=True)
    count = math.prod(frames)
    promised = max(count, _promised_count(tif))
    if count < promised or not _is_complete(film, count):
        raise _refusal(path, f"is cut short: it lacks some of the {promised} frames stated", _AGAIN)
    if film.kind in {"imagej", "ome"} and len(tif.pages) > count:
        more = f"holds {len(tif.pages)} frames and its description counts {count}"
        raise _refusal(path, more, "save it as one stack, for instance in ImageJ/Fiji")
    if count < 2:
        raise _refusal(path, "holds one frame; a film needs at least 2", "export the raw film")
    if min(height_px, width_px) < contract.MIN_FRAME_PX:
        small = f"has frames of {height_px} x {width_px} pixels"
        raise _refusal(path, small, f"crop to no less than {contract.MIN_FRAME_PX} along an edge")


def _is_complete(film: TiffPageSeries, count: int) -> bool:
    """Whether the data of all ``count`` frames lie inside the file."""
    if film.dataoffset is not None:
        return film.dataoffset + film.nbytes <= film.keyframe.parent.filehandle.size
    return len(film) == count and all(page is not None and _is_whole(page) for page in film)


def _is_whole(page: TiffPage | TiffFrame) -> bool:
    """Whether the page says where all of its data are, and the file has them."""
    one, end = page.is_contiguous, page.parent.filehandle.size
    sizes = (page.nbytes,) if one else page.databytecounts
    parts = list(zip(page.dataoffsets, sizes, strict=False))
    inside = all(offset > 0 and 0 < size <= end - offset for offset, size in parts)
    return inside and len(parts) >= (1 if one else math.prod(page.chunked))


def _promised_count(tif: TiffFile) -> int:
    """Frames that the ImageJ or OME description promises."""
    imagej, ome = tif.imagej_metadata or {}, _ome_pixels(tif)
    frames = int(imagej.get("frames", ome.get("SizeT", 1)))
    slices = int(imagej.get("slices", ome.get("SizeZ", 1)))
    return max(frames * slices, int(imagej.get("images", 1)))


def _ome_pixels(tif: TiffFile) -> dict[str, str]:
    """Attributes of the first Pixels of the OME description, if there is one."""
    with suppress(ET.ParseError):
        root = ET.fromstring(tif.ome_metadata or "<OME/>")  # noqa: S314 - as tifffile does
        return next((pixels.attrib for pixels in root.iterfind("{*}Image/{*}Pixels")), {})
    return {}


def _pixel_size_nm(tif: TiffFile) -> float | None:
    """Edge of a camera pixel as OME, or ImageJ and the resolution tags, give it."""
    pixels, page = _ome_pixels(tif), tif.pages.first
    try:
        size, unit = float(pixels["PhysicalSizeX"]), pixels.get("PhysicalSizeXUnit", "um")
    except (KeyError, ValueError):
        size = 1 / (page.resolution[0] or math.nan)
        unit = str((tif.imagej_metadata or {}).get("unit", int(page.resolutionunit)))
    size_nm = size * _NM_PER_UNIT.get(unit.lower(), math.nan)
    return size_nm if PIXEL_SIZE_RANGE_NM[0] <= size_nm < PIXEL_SIZE_RANGE_NM[1] else None
