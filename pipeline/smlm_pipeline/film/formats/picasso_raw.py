"""Read Picasso's raw films: values in ``NAME.raw``, their description in ``NAME.yaml``."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps, SourceAtRest, squeezed
from smlm_pipeline.film.formats.written import written_bytes

_NOT_A_DESCRIPTION = (
    *(yaml.YAMLError, LookupError, TypeError, ValueError, OverflowError),
    RecursionError,  # of brackets in brackets, by the thousand
)


class RawSource(SourceAtRest):
    """Frames one after the other, mapped for the time of each read."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self._stored = path, dtype
        self._frames, self._height_px, self._width_px = shape
        self.axes, self.shape = squeezed("TYX", shape)
        self.dtype = dtype.newbyteorder("=")
        self.pixel_size_nm = None

    @property
    def decoded_bytes(self) -> int:
        """No more than is asked for, as the file is mapped."""
        return 0

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Copy out of a mapping of these frames; see `Source.read`."""
        frame_bytes = self._stored.itemsize * self._height_px * self._width_px
        if (planes[-1] + 1) * frame_bytes > os.stat(self.path).st_size:  # noqa: PTH116 - as given
            raise EOFError
        size = (planes[-1] + 1 - planes[0], self._height_px, self._width_px)
        mapped = np.memmap(self.path, self._stored, "r", planes[0] * frame_bytes, size)
        return np.array(mapped[:: planes.step, y, x], self.dtype)


def open_raw(path: Path) -> RawSource:
    """Open ``NAME.raw`` by its description in ``NAME.yaml``.

    Raises
    ------
    FilmError
        If the description is missing or does not fit the file.
    """
    yaml_file = path.with_suffix(".yaml")
    if not yaml_file.is_file():
        remedy = "put Picasso's description (Frames, Height, Width, Data Type) beside it"
        raise refusal(path, f"has no {yaml_file.name} beside it", remedy)
    try:
        parts = list(yaml.safe_load_all(yaml_file.read_text(encoding="utf-8")))
        description = parts[0]
        shape = tuple(_count(description, name) for name in ("Frames", "Height", "Width"))
        dtype = np.dtype(description["Data Type"]).newbyteorder(description.get("Byte Order", "<"))
        if dtype.kind not in "iuf":
            raise ValueError(f"Data Type is {dtype.name}")
    except _NOT_A_DESCRIPTION as error:
        remedy = "it must state Frames, Height, Width and Data Type, as Picasso writes it"
        raise refusal(
            path, f"is described by {yaml_file.name} wrongly ({error})", remedy
        ) from error
    described_bytes, file_bytes = dtype.itemsize * math.prod(shape), path.stat().st_size
    sizes = f"it is {file_bytes} bytes, and {yaml_file.name} describes {described_bytes}"
    if file_bytes > described_bytes:
        raise refusal(path, f"has a header or more frames: {sizes}", AGAIN)
    source = RawSource(path, shape, dtype)
    frame_bytes = described_bytes // shape[0]
    whole = written_bytes(path, frame_bytes) // frame_bytes
    if file_bytes < described_bytes:
        source.gaps = Gaps(np.arange(whole), f"it is cut short: {sizes}", AGAIN)
    elif whole < shape[0]:
        source.gaps = Gaps(
            np.arange(whole), "it ends in zeros, as a copy that was interrupted", AGAIN
        )
    stated = [_size_of(part, yaml_file.name) for part in parts if isinstance(part, dict)]
    source.pixel_size_nm, source.pixel_doubt = pixel_size.settle(stated)
    return source


def _count(description: dict[str, Any], name: str) -> int:
    """A whole number from 1 on, also as text; two negative ones would make a size that fits."""
    stated = description[name]
    number = int(stated)
    if number < 1 or (isinstance(stated, float) and number != stated):
        raise ValueError(f"{name} is {stated}; expected a whole number from 1 on")
    return number


def _size_of(described: dict[str, Any], place: str) -> pixel_size.Edges | None:
    """Size from Picasso's keys, in nm, else from Micro-Manager's metadata among them."""
    manager = described.get("Micro-Manager Metadata")
    own = {key: value for key, value in described.items() if not isinstance(value, dict)}
    camera = {f"Camera {key}": value for key, value in _mapping(described.get("Camera")).items()}
    return pixel_size.of_keys(own | camera, "nm", f"of {place}") or pixel_size.of_keys(
        manager, "um", f"of Micro-Manager in {place}"
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
