"""Read frames that lie uncompressed in one file, at equal distances from each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps, SourceAtRest, squeezed


@dataclass(frozen=True)
class Layout:
    """Where the values of a film lie in its file.

    ``axes`` and ``shape`` are those of `Source`, with axes of length one; ``strides_bytes`` has
    the distance between neighbours on each axis but X, whose values follow each other.
    """

    axes: str
    shape: tuple[int, ...]
    strides_bytes: tuple[int, ...]
    start_byte: int
    dtype: np.dtype[Any]

    @property
    def plane_bytes(self) -> int:
        """Size of a plane without the bytes that follow its last value."""
        height_px, width_px = self.shape[-2:]
        return (height_px - 1) * self.strides_bytes[-1] + width_px * self.dtype.itemsize

    def plane_starts(self, plane: int) -> int:
        """First byte of a plane, counted over the axes before YX."""
        places = np.unravel_index(plane, self.shape[:-2]) if len(self.shape) > 2 else ()
        steps = zip(places, self.strides_bytes[:-1], strict=True)
        return self.start_byte + sum(int(place) * step for place, step in steps)

    def frames_in(self, size_bytes: int) -> int:
        """Frames, along the first axis, that a file of this size holds to their end."""
        last = self.plane_starts(math.prod(self.shape[1:-2]) - 1) + self.plane_bytes
        return max(0, (size_bytes - last) // self.strides_bytes[0] + 1)


class FlatSource(SourceAtRest):
    """Planes read from their places in the file; one plane is in memory besides the result.

    Frames behind ``end_byte``, by default the end of the file, are missing.
    """

    def __init__(self, path: Path, layout: Layout, end_byte: int | None = None) -> None:
        self.path, self._layout = path, layout
        if min(*layout.shape, *layout.strides_bytes, layout.start_byte) < 1:
            raise refusal(path, f"has a header of impossible size {layout.shape}", AGAIN)
        self.axes, self.shape = squeezed(layout.axes, layout.shape)
        self.dtype = layout.dtype.newbyteorder("=")
        self.pixel_size_nm = None
        size_bytes = path.stat().st_size
        held = layout.frames_in(min(size_bytes, end_byte or size_bytes))
        if held < layout.shape[0]:
            planes = np.arange(held * math.prod(layout.shape[1:-2]))
            self.gaps = Gaps(planes, "the file ends early", AGAIN)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Read the rows of the planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        with self.path.open("rb") as file:
            for index, plane in enumerate(planes):
                read[index] = self.plane(file, plane)[y, x]
        return read

    def plane(self, file: BufferedReader, plane: int) -> NDArray[Any]:
        """One plane, (Y, X) of the stored type, as a writable copy.

        Raises
        ------
        EOFError
            If the file ends before the plane does.
        """
        layout, stored = self._layout, bytearray(self._layout.plane_bytes)
        file.seek(layout.plane_starts(plane))
        if file.readinto(stored) < len(stored):
            raise EOFError
        strides = (layout.strides_bytes[-1], layout.dtype.itemsize)
        return np.ndarray(layout.shape[-2:], layout.dtype, stored, 0, strides)
