"""Writes the SR image as OME-Zarr 0.4, a band of rows at a time, with a pyramid.

Version 0.4 (Zarr 2), since every reader of today knows it. An array of one type in chunks is so
simple a format that no library is needed; tests read it with zarr, ome-zarr and bioio.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.atomic_files import folder_written_whole
from smlm_pipeline.output.facts import CHANNEL_COLOURS, ImageFacts
from smlm_pipeline.output.pyramid import TILE_PX, Level, Pyramid, Rows, level_shapes

ATTRIBUTE = "smlm-recon"
"""The group's attribute with the provenance, by which this program knows its own images."""

_COMPRESSION_LEVEL = 1
"""Of zlib: sparse images hardly shrink further at higher levels, which are slower."""


def write_zarr(path: Path, image: Rows, facts: ImageFacts) -> None:
    """Write the image as a folder in OME-Zarr, with levels of half the size each.

    Parameters
    ----------
    path : Path
        Target; an earlier folder of that name is replaced.
    image : ndarray or Rows, shape (Y, X), float32
        Expected number of emitters per SR pixel; levels are means.
    facts : ImageFacts
        For the metadata.

    Raises
    ------
    OutputError
        If the folder cannot be written; no part of it is left.
    """
    _write(path, [image], facts)


def write_channels(path: Path, images: Mapping[str, Rows], facts: ImageFacts) -> None:
    """Write the images of several channels, of one shape, as one OME-Zarr; see `write_zarr`.

    Parameters
    ----------
    path : Path
        Target; an earlier folder of that name is replaced.
    images : Mapping of str to Rows
        The image of each channel, by its name; two at most.
    facts : ImageFacts
        For the metadata, but for the names of the channels.

    Raises
    ------
    OutputError
        If the folder cannot be written; no part of it is left.
    """
    _write(path, list(images.values()), replace(facts, channels=tuple(images)))


def _write(path: Path, images: Sequence[Rows], facts: ImageFacts) -> None:
    several = len(images) if facts.channels else None
    shapes, brightest = level_shapes(images[0].shape), []
    with folder_written_whole(path) as folder:
        for number, shape in enumerate(shapes):
            _write_header(folder / str(number), shape, several)
        for channel, image in enumerate(images):
            with Pyramid(image, path.parent) as pyramid:
                most = [
                    _write_rows(folder / str(number) / (str(channel) if several else ""), level)
                    for number, level in enumerate(pyramid.levels())
                ]
            brightest.append(most[0])
        _write_json(folder / ".zgroup", {"zarr_format": 2})
        attributes = {
            "multiscales": [_multiscales(shapes, facts)],
            "omero": _display(facts, brightest),
            ATTRIBUTE: {"acquired": facts.acquired, **facts.as_dict()},
        }
        _write_json(folder / ".zattrs", attributes)


def _multiscales(shapes: Sequence[tuple[int, int]], facts: ImageFacts) -> dict[str, Any]:
    """The levels, with the size and the place of their pixels."""
    return {
        "version": "0.4",
        "name": facts.name or "image",
        "type": "mean",
        "axes": [
            *([{"name": "c", "type": "channel"}] if facts.channels else []),
            *({"name": axis, "type": "space", "unit": "nanometer"} for axis in "yx"),
        ],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _placed(level, facts)}
            for level in range(len(shapes))
        ],
    }


def _placed(level: int, facts: ImageFacts) -> list[dict[str, Any]]:
    """Edge of a level's pixel, and how far the centre of its first pixel is from the image's."""
    edge_nm = facts.sr_pixel_size_nm * 2**level
    channels = len(facts.channels) > 0
    scale = {"type": "scale", "scale": [*[1.0] * channels, edge_nm, edge_nm]}
    if not level:
        return [scale]
    offset_nm = (edge_nm - facts.sr_pixel_size_nm) / 2
    moved = [*[0.0] * channels, offset_nm, offset_nm]
    return [scale, {"type": "translation", "translation": moved}]


def _display(facts: ImageFacts, brightest: Sequence[float]) -> dict[str, Any]:
    """The channels, and limits of their contrast, for viewers."""
    colours = [bytes(colour).hex().upper() for colour in CHANNEL_COLOURS]
    channels = [
        {
            "label": name,
            "color": colour if facts.channels else "FFFFFF",
            "active": True,
            "window": {"min": 0.0, "max": most, "start": 0.0, "end": most},
        }
        for name, colour, most in zip(facts.channel_names, colours, brightest, strict=False)
    ]
    return {
        "channels": channels,
        "rdefs": {"model": "color" if facts.channels else "greyscale"},
    }


def _write_header(folder: Path, shape: tuple[int, int], channels: int | None) -> None:
    """Describe an array in chunks, with an axis of channels if there is a number of them."""
    folder.mkdir()
    _write_json(
        folder / ".zarray",
        {
            "zarr_format": 2,
            "shape": [*([channels] if channels else []), *shape],
            "chunks": [*([1] if channels else []), TILE_PX, TILE_PX],
            "dtype": "<f4",
            "compressor": {"id": "zlib", "level": _COMPRESSION_LEVEL},
            "fill_value": 0.0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        },
    )


def _write_rows(folder: Path, level: Level) -> float:
    """Write rows of chunks; those of zeros are left out, as Zarr does. The largest value."""
    folder.mkdir(exist_ok=True)
    row, brightest = 0, 0.0
    for band in level.bands():
        brightest = max(brightest, float(band.max(initial=0)))
        for top in range(0, len(band), TILE_PX):
            _write_row(folder / str(row), band[top : top + TILE_PX])
            row += 1
    return brightest


def _write_row(folder: Path, rows: NDArray[np.float32]) -> None:
    """Write a row of chunks; those at the edges are filled up by zeros."""
    folder.mkdir()
    for column, left in enumerate(range(0, rows.shape[1], TILE_PX)):
        part = rows[:, left : left + TILE_PX]
        if not part.any():
            continue
        chunk = np.zeros((TILE_PX, TILE_PX), "<f4")
        chunk[: part.shape[0], : part.shape[1]] = part
        (folder / str(column)).write_bytes(zlib.compress(chunk.data, _COMPRESSION_LEVEL))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
