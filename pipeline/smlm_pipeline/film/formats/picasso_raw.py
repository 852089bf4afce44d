"""Picasso's raw films: bare numbers in ``NAME.raw``, described by ``NAME.yaml``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import SourceAtRest, believed_nm, squeezed


class RawSource(SourceAtRest):
    """Frames one after the other, mapped anew at each read."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self._stored = path, dtype
        self._frames, self._height_px, self._width_px = shape
        self.axes, self.shape = squeezed("TYX", shape)
        self.dtype = dtype.newbyteorder("=")
        self.pixel_size_nm = None

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Copy out of a mapping of these frames; see `Source.read`."""
        frame_bytes = self._stored.itemsize * self._height_px * self._width_px
        if (planes[-1] + 1) * frame_bytes > os.stat(self.path).st_size:  # noqa: PTH116 - as given
            raise EOFError
        size = (len(planes), self._height_px, self._width_px)
        mapped = np.memmap(self.path, self._stored, "r", planes[0] * frame_bytes, size)
        return np.array(mapped[:, y, x], self.dtype)


def open_raw(path: Path) -> RawSource:
    """Open ``NAME.raw`` by what ``NAME.yaml`` says of it.

    Raises
    ------
    FilmError
        If the description is missing or does not fit the file.
    """
    described = path.with_suffix(".yaml")
    if not described.is_file():
        remedy = "put Picasso's description (Frames, Height, Width, Data Type) beside it"
        raise refusal(path, f"has no {described.name} beside it", remedy)
    try:
        told = next(yaml.safe_load_all(described.read_text(encoding="utf-8")))
        shape = tuple(int(told[name]) for name in ("Frames", "Height", "Width"))
        dtype = np.dtype(told["Data Type"]).newbyteorder(told.get("Byte Order", "<"))
    except (yaml.YAMLError, StopIteration, KeyError, TypeError, ValueError) as error:
        remedy = "it must say Frames, Height, Width and Data Type, as Picasso writes it"
        raise refusal(
            path, f"is described by {described.name} wrongly ({error})", remedy
        ) from error
    wanted, there = dtype.itemsize * np.prod(shape, dtype=int), path.stat().st_size
    if there != wanted:
        differs = f"is {there} bytes, and {described.name} describes {wanted}"
        raise refusal(path, f"is cut short or has a header: it {differs}", AGAIN)
    source = RawSource(path, shape, dtype)
    if told.get("Pixelsize"):
        source.pixel_size_nm = believed_nm(float(told["Pixelsize"]), "nm")
    return source
