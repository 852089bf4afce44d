"""The summed image as files: an OME-TIFF to measure in, a PNG to look at."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from smlm_pipeline.errors import OutputError

VALUE_UNIT = "expected number of emitters per SR pixel"
"""What a value of the image means; stands in the file's description."""

PICTURE_EDGE_MIN_PX, PICTURE_EDGE_MAX_PX = 512, 8192
"""A narrower picture is enlarged, a longer one binned down, by a whole factor."""

SMOOTHING_PX = 1.0
"""Sigma of the picture's smoothing: joins speckle, keeps filaments apart."""

BRIGHT_SHARE, WHITE_PERCENTILE = 0.5, 95.0
"""White is this percentile of the bright pixels that hold this share of the emitters."""

_ADVICE = {
    errno.ENOSPC: "the disk is full; free space or choose another disk",
    errno.EDQUOT: "your quota is used up; free space or choose another disk",
    errno.EACCES: "no permission; choose another folder, or close what holds the file open",
    errno.ENOENT: "there is no such folder; create it first",
    errno.EISDIR: "it is a folder or a device; give the name of a file",
}


def write_image(
    path: Path,
    image: NDArray[np.float32],
    *,
    sr_pixel_size_nm: float,
    provenance: Mapping[str, object],
) -> None:
    """Write the image as OME-TIFF, as BigTIFF where it needs to be.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    image : ndarray, shape (Y, X), float32
        Expected number of emitters per SR pixel; stored as it is.
    sr_pixel_size_nm : float
        Edge of an SR pixel, in nm; for the OME metadata and the resolution
        tags, which ImageJ reads.
    provenance : Mapping
        What made the image (model, version, frames, levels), kept as JSON in
        the OME description; what JSON has no form for becomes text.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    values = np.ascontiguousarray(image, np.float32)
    pixels_per_cm = 1e7 / sr_pixel_size_nm
    physical = {f"PhysicalSize{axis}": sr_pixel_size_nm for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
    description = json.dumps({"value": VALUE_UNIT, **provenance}, default=_plain)
    with _written_whole(path) as file:
        # tifffile lays out the file and the values follow, because ndarray.tofile,
        # which it would use, can lose the last block on a full disk without an error
        offset_bytes, _ = tifffile.imwrite(  # type: ignore[misc]  # None only if not asked for
            file,
            shape=values.shape,
            dtype=values.dtype,
            ome=True,
            photometric="minisblack",
            metadata={"axes": "YX", **physical, **units, "Description": description},
            resolution=(pixels_per_cm, pixels_per_cm),
            resolutionunit="CENTIMETER",
            software="smlm-recon",
            returnoffset=True,
        )
        file.seek(offset_bytes)
        file.write(values.data)


def write_picture(path: Path, image: NDArray[np.float32], *, sr_pixel_size_nm: float) -> None:
    """Write the image as PNG, in colours and with a scale bar, to look at.

    For the eye alone: smoothed by a Gaussian of ``SMOOTHING_PX``, contrast up
    to the bright structures, enlarged or binned down. Measure in the TIFF.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    image : ndarray, shape (Y, X), float32
        Expected number of emitters per SR pixel.
    sr_pixel_size_nm : float
        Edge of an SR pixel, in nm.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    binning = math.ceil(max(image.shape) / PICTURE_EDGE_MAX_PX)
    view = _grey(_smoothed(_binned(image, binning)))
    height, width = view.shape
    zoom = min(math.ceil(PICTURE_EDGE_MIN_PX / width), PICTURE_EDGE_MAX_PX // max(view.shape))
    grey = Image.fromarray(view).resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
    grey.putpalette(_hot().tobytes())
    picture = grey.convert("RGB")
    _draw_scale_bar(picture, sr_pixel_size_nm * binning / zoom)
    with _written_whole(path) as file:
        picture.save(file, format="PNG")


def check_writable(path: Path) -> None:
    """Refuse, after a trial, a target that cannot be written, before an hour is spent on it.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the target is not a file.
    """
    with _partial(path):
        pass


def _plain(value: object) -> object:
    """Stand-in for a provenance value that JSON does not know."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


@contextlib.contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside the target; give it the target's name once it is whole."""
    with _partial(path) as (file, partial, target):
        yield file
        file.flush()
        os.fsync(file.fileno())  # a network drive reports a full disk only here
        file.close()  # Windows renames closed files only
        partial.replace(target)


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[tuple[BinaryIO, Path, Path]]:
    """Open file, its path and the target's; what is not renamed is removed."""
    target = Path(os.path.realpath(path))  # a link is written through, not replaced
    # not tempfile: its files stay readable by their owner alone, also once renamed
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    try:
        if target.exists() and not target.is_file():  # a device would be replaced by a file
            raise IsADirectoryError(errno.EISDIR, "not a file")
        with partial.open("xb") as file:
            yield file, partial, target
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another target")
        raise OutputError(f"{path} cannot be written: {advice}") from error
    finally:
        with contextlib.suppress(OSError):  # renamed, never made, or an error that says more
            partial.unlink()


def _binned(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Mean over squares of ``factor`` pixels; those at the far edges may be partial."""
    for _ in range(2 if factor > 1 else 0):
        starts = np.arange(0, len(image), factor)
        counts = np.diff(starts, append=len(image)).astype(np.float32)
        sums: NDArray[np.float32] = np.add.reduceat(image, starts, axis=0)
        image = np.divide(sums, counts[:, None], out=sums).T
    return image


def _smoothed(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian of ``SMOOTHING_PX``, one axis after the other; edges are continued."""
    reach = math.ceil(3 * SMOOTHING_PX)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING_PX) ** 2)
    for _ in range(2):
        padded = np.pad(view, ((reach, reach), (0, 0)), "edge")
        smoothed = np.zeros_like(view)
        for start, tap in enumerate((taps / taps.sum()).astype(np.float32)):
            smoothed += tap * padded[start : start + len(view)]
        view = smoothed.T
    return view


def _grey(view: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Black at zero, 255 from ``WHITE_PERCENTILE`` of the bright pixels on.

    Neither wide empty ground nor a few very bright beads decide the contrast.
    """
    lit = np.sort(view[view > 0])
    if not lit.size:
        return np.zeros(view.shape, np.uint8)
    held = np.cumsum(lit, dtype=np.float64)
    bright = lit[np.searchsorted(held, held[-1] * (1 - BRIGHT_SHARE)) :]
    scaled = view * np.float32(255 / np.percentile(bright, WHITE_PERCENTILE))
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def _hot() -> NDArray[np.uint8]:
    """Black, red, yellow, white: shape (256, 3), uint8, red, green, blue."""
    corners = (0, 3 / 8), (3 / 8, 3 / 4), (3 / 4, 1)
    ramps = [np.interp(np.linspace(0, 1, 256), ends, (0, 255)) for ends in corners]
    return np.rint(np.stack(ramps, axis=1)).astype(np.uint8)


def _bar_length_nm(width_nm: float) -> float:
    """Length of 1, 2 or 5 times a power of ten, nearest a fifth of the width."""
    wanted_nm = width_nm / 5
    decade_nm = 10.0 ** math.floor(math.log10(wanted_nm))
    return min((step * decade_nm for step in (1, 2, 5, 10)), key=lambda nm: abs(nm - wanted_nm))


def _draw_scale_bar(picture: Image.Image, pixel_size_nm: float) -> None:
    """Scale bar and label in the lower right corner, white with a dark outline."""
    width, height = picture.size
    length_nm = _bar_length_nm(width * pixel_size_nm)
    unit = min(width, height) / 100
    outline, thickness, margin = max(2, round(unit / 3)), max(3, round(unit)), round(3 * unit)
    length = max(1, round(length_nm / pixel_size_nm))
    left, top = width - margin - length, height - margin - thickness
    right, bottom = left + length - 1, top + thickness - 1  # Pillow counts both ends in
    em = max(12, round(4 * unit))
    font = ImageFont.load_default(em)
    micro = length_nm >= 1000
    label = f"{length_nm / 1000:g} um" if micro else f"{length_nm:g} nm"
    text_width = font.getlength(label)
    start = round(min(left + (length - text_width) / 2, width - margin - text_width))
    pieces = [(start, top - round(0.6 * em), label)]
    if micro:  # Pillow's font has no micro sign: an I, moved down, is the leg of one
        leg = round(start + font.getlength(label[:-2]) - 0.03 * em)
        pieces.append((leg, top - round(0.42 * em), "I"))
    draw = ImageDraw.Draw(picture)
    for colour, edge in (("black", outline), ("white", 0)):
        draw.rectangle((left - edge, top - edge, right + edge, bottom + edge), colour)
        for x, y, text in pieces:
            draw.text((x, y), text, colour, font, "ls", stroke_width=edge)
