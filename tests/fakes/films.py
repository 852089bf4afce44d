"""Films: open ones in memory, and small ones that look like blinking molecules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.film.film import Film
from smlm_pipeline.film.selection import Corner, Selection


class ArrayFilm(Film):
    """An array as an open film; it remembers which frames were read together."""

    def __init__(self, frames_adu: NDArray[np.uint16]) -> None:
        self.path = Path("array.tif")
        self.frame_count, self.height_px, self.width_px = frames_adu.shape
        self.pixel_size_nm = self.acquired = None
        self.channel = ""
        self.selection = Selection()
        self.missing, self.notes, self.warnings = (), (), ()
        self.decoded_bytes = 0
        self.reads: list[tuple[int, int]] = []
        self._frames_adu = frames_adu

    @property
    def corner(self) -> Corner:
        return Corner()

    def __exit__(self, *_: object) -> None:
        """There is no file to close."""

    def read(self, first: int, last: int) -> NDArray[np.uint16]:
        if not 0 <= first < last <= self.frame_count:
            raise AssertionError(f"frames {first} to {last} of {self.frame_count} were asked for")
        self.reads.append((first, last))
        return self._frames_adu[first:last]


def noise_adu(
    frames: int, height_px: int, width_px: int, *, background_adu: float = 100, seed: int = 0
) -> NDArray[np.uint16]:
    """Poisson noise about a flat background: shape (frames, height_px, width_px)."""
    rng = np.random.default_rng(seed)
    return rng.poisson(background_adu, (frames, height_px, width_px)).astype(np.uint16)


def spots_adu(
    frames: int, height_px: int, width_px: int, *, spots: int = 4, seed: int = 0
) -> NDArray[np.uint16]:
    """Noise and, in each frame, new spots of about 800 photons and 1.2 pixels sigma."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height_px, :width_px]
    photons = np.full((frames, height_px, width_px), 20.0)
    for frame in photons:
        for _ in range(spots):
            centre_y, centre_x = rng.uniform(0, height_px), rng.uniform(0, width_px)
            squared = (y + 0.5 - centre_y) ** 2 + (x + 0.5 - centre_x) ** 2
            frame += 800 / (2 * np.pi * 1.2**2) * np.exp(-0.5 * squared / 1.2**2)
    return (100 + 2 * rng.poisson(photons)).astype(np.uint16)


def damage(path: Path, *frames: int) -> None:
    """Overwrite these frames of a compressed TIFF by zeros, which cannot be decoded."""
    held = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for page in (tif.pages[frame] for frame in frames):
            (start,), (size_bytes,) = page.dataoffsets, page.databytecounts
            held[start : start + size_bytes] = bytes(size_bytes)
    path.write_bytes(held)
