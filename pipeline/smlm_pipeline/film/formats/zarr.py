"""Read Zarr arrays and OME-Zarr images, versions 2 and 3 of the format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.refusals import extra, refusal
from smlm_pipeline.film.formats.source import Gaps, SourceAtRest, squeezed
from smlm_pipeline.film.formats.turned_axes import remarks_on_axes
from smlm_pipeline.film.formats.zarr_chunks import StoredChunks
from smlm_pipeline.film.formats.zarr_layout import SHARDS_CODED, chunk_layout

MARKS = (".zarray", ".zgroup", "zarr.json")
"""The folder of a Zarr array or group contains one of these files."""

_DECODED_AT_ONCE = 10
"""Chunks that zarr decodes at once: its setting ``async.concurrency``."""

_PLAIN = "save it in plain chunks or shards"


class ZarrSource(SourceAtRest):
    """One array of a store; only the chunks of the requested planes are decoded."""

    def __init__(self, path: Path, array: Any, axes: str, stated: pixel_size.Edges | None) -> None:
        self.path, self._array, self._axes = path, array, axes
        self.axes, self.shape = squeezed(axes, tuple(array.shape))
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([stated])
        folder = path / str(array.path)
        self._stored: StoredChunks | None = None
        self._layout = chunk_layout(folder, self.dtype.itemsize)
        unknown = self._layout.unknown if self._layout else "names its chunks in an unknown way"
        if unknown in (SHARDS_CODED, "") or self._layout is None:
            self.gaps = _doubt(self.shape, unknown) if unknown else None
        else:
            raise refusal(path, f"{unknown}, which zarr does not read", _PLAIN)
        if self._layout is not None and not unknown:
            self._stored = StoredChunks(folder, tuple(array.shape), self._layout)

    def gaps_in(self, y: slice, x: slice) -> Gaps | None:
        """The frames all of whose chunks in a region are stored; see `Source.gaps_in`."""
        return self._stored.gaps(y, x) if self._stored else self.gaps

    @property
    def decoded_bytes(self) -> int:
        """The chunks that a frame touches, as many of them as the library decodes at once."""
        layout, shape = self._layout, self._array.shape
        chunk = layout.chunk if layout else tuple(self._array.chunks)
        touched = -(-shape[-2] // chunk[-2]) * -(-shape[-1] // chunk[-1])
        return int(min(touched, _DECODED_AT_ONCE) * math.prod(chunk) * self.dtype.itemsize)

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the region of the planes; see `Source.read`."""
        leading = tuple(self._array.shape[:-2])
        first, last = (np.unravel_index(planes[i], leading) if leading else () for i in (0, -1))
        second = np.unravel_index(planes[min(1, len(planes) - 1)], leading) if leading else ()
        steps = [
            slice(int(a), int(c) + 1, max(int(b) - int(a), 1))
            for a, b, c in zip(first, second, last, strict=True)
        ]
        part = np.asarray(self._array[(*steps, y, x)], self.dtype)
        return part.reshape(len(planes), *part.shape[-2:])


def _doubt(shape: tuple[int, ...], unknown: str) -> Gaps:
    """All planes of an array, some of which may be missing."""
    return Gaps(np.arange(math.prod(shape[:-2])), unknown, _PLAIN, "more")


def open_zarr(path: Path) -> ZarrSource:
    """Open a Zarr array, or the full resolution of an OME-Zarr image.

    Raises
    ------
    FilmError
        If the package zarr is missing, or the folder does not hold exactly one image.
    """
    with extra(path, "zarr"):
        import zarr  # an extra, which most films do not need
    parents = list(path.absolute().parents)[:2]
    if any(it.name == "labels" and any((it / mark).is_file() for mark in MARKS) for it in parents):
        raise refusal(path, "is an image of labels", "name the image that they belong to")
    node: Any = zarr.open(str(path), mode="r")
    attributes = dict(node.attrs)
    attributes = attributes.get("ome", attributes)  # the place of version 0.5 of OME-Zarr
    if "multiscales" in attributes:
        source = _multiscale(path, node, attributes["multiscales"][0])
        source.labels = {"C": _channels(attributes.get("omero"))}
        return source
    if not hasattr(node, "dtype"):
        names = sorted(name for name, _ in node.arrays())
        if len(names) != 1:
            problem = f"is a Zarr group of {len(names)} arrays ({', '.join(names[:4])})"
            raise refusal(path, problem, "name the folder of one array or of one OME-Zarr image")
        node = node[names[0]]
    else:
        level = _level_of_image(path, zarr, node)
        if level is not None:
            return level
    stated = pixel_size.of_keys(dict(node.attrs), "um", "of the array's attributes")
    source = ZarrSource(path, node, _plain_axes(path, node), stated)
    if not _names_of_axes(node):
        source.warnings += remarks_on_axes(path.name, tuple(node.shape))
    return source


def _level_of_image(path: Path, zarr: Any, array: Any) -> ZarrSource | None:
    """The array as one of the resolutions of an OME-Zarr image, if it is in one."""
    for group in list(path.absolute().parents)[:2]:
        if not any((group / mark).is_file() for mark in MARKS):
            return None
        attributes = dict(zarr.open(str(group), mode="r").attrs)
        attributes = attributes.get("ome", attributes)
        name = path.absolute().relative_to(group).as_posix()
        for multiscale in attributes.get("multiscales", ()):
            names = [str(dataset["path"]) for dataset in multiscale["datasets"]]
            if name not in names:
                continue
            level = names.index(name)
            source = _of_level(path, array, multiscale, level)
            source.labels = {"C": _channels(attributes.get("omero"))}
            if level:
                source.warnings += (
                    f"{name} of {group.name} is a smaller copy of the film; name {group.name}",
                )
            return source
    return None


def _multiscale(path: Path, group: Any, multiscale: Mapping[str, Any]) -> ZarrSource:
    return _of_level(path, group[multiscale["datasets"][0]["path"]], multiscale, 0)


def _of_level(path: Path, array: Any, multiscale: Mapping[str, Any], level: int) -> ZarrSource:
    dataset = multiscale["datasets"][level]
    axes = multiscale.get("axes") or list("tczyx")  # versions before 0.4 name no axes
    named = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    letters = "".join(str(axis["name"])[0].upper() for axis in named)
    _check_axes(path, letters, array)
    return ZarrSource(path, array, letters, _stated_size(multiscale, dataset, named))


def _channels(omero: object) -> tuple[str, ...]:
    """Names of channels from OMERO's settings of the display; empty if they have none."""
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    listed = channels if isinstance(channels, list) else []
    names = tuple(str(each.get("label", "")) for each in listed if isinstance(each, Mapping))
    return names if any(names) else ()


def _stated_size(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], axes: list[dict[str, Any]]
) -> pixel_size.Edges | None:
    """Size from the scales of the dataset and of all datasets, which follow one another.

    A scale without a unit is taken as micrometres, as OME-TIFF does.
    """
    y, x = 1.0, 1.0
    for place in (dataset, multiscale):
        for transform in place.get("coordinateTransformations") or []:
            if transform.get("type") == "scale" and len(transform.get("scale", [])) >= 2:
                y, x = y * float(transform["scale"][-2]), x * float(transform["scale"][-1])
    unit_y, unit_x = (str(axis.get("unit") or "um") for axis in axes[-2:])
    first = pixel_size.edges(x, None, unit_x, "the scale of multiscales")
    second = pixel_size.edges(y, None, unit_y, "the scale of multiscales")
    if first is None or second is None:
        return first or second
    return pixel_size.Edges(first.x_nm, second.x_nm, "the scale of multiscales")


def _plain_axes(path: Path, array: Any) -> str:
    """Axes of an array as named by xarray or by version 3, else T,Y,X."""
    names = _names_of_axes(array)
    letters = "".join(str(name)[:1].upper() for name in names) if names else "TCZYX"
    if not names and array.ndim in (2, 3):
        letters = "TYX"[-array.ndim :]
    _check_axes(path, letters, array)
    return letters


def _names_of_axes(array: Any) -> Any:
    """Names as xarray or version 3 of the format keeps them; None if there are none."""
    metadata = getattr(array, "metadata", None)
    return dict(array.attrs).get("_ARRAY_DIMENSIONS") or getattr(metadata, "dimension_names", None)


def _check_axes(path: Path, letters: str, array: Any) -> None:
    if len(letters) != array.ndim or letters[-2:] != "YX":
        problem = f"is a Zarr array of axes {letters} and shape {tuple(array.shape)}, not T,Y,X"
        raise refusal(path, problem, "save the frames as one array of T,Y,X")
