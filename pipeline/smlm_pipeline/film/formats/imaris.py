"""Read Imaris' films (.ims): HDF5 with one data set for each time point and channel.

Layout after the "Imaris 5.5 file format" of Oxford Instruments
(https://imaris.oxinst.com/support/imaris-file-format).
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.hdf5 import check_dataset, is_written, opened
from smlm_pipeline.film.formats.pixel_size import Edges
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps, Source, squeezed, steps

_FRAMES = "DataSet/ResolutionLevel 0"


class ImarisSource(Source):
    """Planes of the data sets of full resolution, without the rows that fill up a block."""

    def __init__(self, path: Path, file: Any, first: Any, shape: tuple[int, ...]) -> None:
        self.path, self._file, self._sizes = path, file, shape
        self.axes, self.shape = squeezed("TCZYX", shape)
        self._block_values = math.prod(first.chunks or shape[-2:])
        self.dtype = np.dtype(first.dtype).newbyteorder("=")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([_edges(file, shape)])
        self.labels = {"C": _channel_names(file, shape[1])}
        self.gaps = _gaps(file, shape)

    @property
    def decoded_bytes(self) -> int:
        """A plane, and a block of the data set."""
        return super().decoded_bytes + self._block_values * self.dtype.itemsize

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return not self._file

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the region of the planes; see `Source.read`."""
        time, channel, z = steps(planes, self._sizes[:3])
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        if z.stop - z.start > 1:  # along z, the planes are in one data set
            read[:] = self._file[_name(time.start, channel.start)][z, y, x]
            return read
        places = [(t, c) for t in _numbers_of(time) for c in _numbers_of(channel)]
        for index, place in enumerate(places):
            read[index] = self._file[_name(*place)][z.start, y, x]
        return read


def open_imaris(path: Path) -> ImarisSource:
    """Open an Imaris film.

    Raises
    ------
    FilmError
        If the package h5py is missing, or the file is damaged or lacks frames.
    """
    with ExitStack() as on_error:
        file = on_error.enter_context(opened(path, "ims"))
        if _FRAMES not in file:
            raise refusal(path, "is no Imaris file: it has no data set of full resolution", AGAIN)
        points = _numbers(file[_FRAMES], "TimePoint")
        channels = _numbers(file[_FRAMES][f"TimePoint {points[0]}"], "Channel") if points else []
        if not channels:
            raise refusal(path, "holds no time point with a channel", AGAIN)
        first = file[_name(points[0], channels[0])]
        check_dataset(path, first)
        sizes = tuple(_size(file, first, axis) for axis in "ZYX")
        shape = (max(points[-1] + 1, _stated_times(file)), channels[-1] + 1, *sizes)
        source = ImarisSource(path, file, first, shape)
        on_error.pop_all()
        return source


def _numbers(group: Any, name: str) -> list[int]:
    """The numbers N of the members of a group that are called ``name N``, ascending."""
    members = (member.removeprefix(f"{name} ") for member in group if member.startswith(name))
    return sorted(int(number) for number in members if number.isdigit())


def _numbers_of(along: slice) -> range:
    return range(along.start, along.stop, along.step)


def _name(time: int, channel: int) -> str:
    return f"{_FRAMES}/TimePoint {time}/Channel {channel}/Data"


def _gaps(file: Any, shape: tuple[int, ...]) -> Gaps | None:
    """The planes of the data sets that are there, large enough and written to their end."""
    places = list(np.ndindex(shape[:2]))
    whole = np.array([_is_whole(file.get(_name(*place)), shape[2:]) for place in places])
    if whole.all():
        return None
    time, channel = places[int(np.argmin(whole))]
    reason = f"channel {channel} of time point {time} is not there, or was not written to its end"
    return Gaps(np.flatnonzero(np.repeat(whole, shape[2])), reason, AGAIN)


def _is_whole(dataset: Any, sizes: tuple[int, ...]) -> bool:
    if dataset is None or len(dataset.shape) != len(sizes):
        return False
    large = all(side >= size for side, size in zip(dataset.shape, sizes, strict=True))
    return large and is_written(dataset)


def _size(file: Any, dataset: Any, axis: str) -> int:
    """Size along an axis without padding, from the channel, the image or the data set."""
    image = file["DataSetInfo/Image"].attrs if "DataSetInfo/Image" in file else {}
    text = _text(dataset.parent.attrs, f"ImageSize{axis}") or _text(image, axis)
    return int(text) if text else int(dataset.shape["ZYX".index(axis)])


def _stated_times(file: Any) -> int:
    """Time points of the whole acquisition, as the description counts them."""
    info = file["DataSetInfo/TimeInfo"].attrs if "DataSetInfo/TimeInfo" in file else {}
    return int(_text(info, "DatasetTimePoints") or _text(info, "FileTimePoints") or 0)


def _text(attributes: Any, name: str) -> str:
    """An attribute, which Imaris stores as an array of single characters."""
    value = attributes.get(name, "")
    if isinstance(value, np.ndarray):
        value = b"".join(value.astype("S").ravel().tolist())
    return value.decode() if isinstance(value, bytes) else str(value)


def _edges(file: Any, shape: tuple[int, ...]) -> Edges | None:
    """Edges of a pixel: the extent of the image over its pixels."""
    attributes = file["DataSetInfo/Image"].attrs if "DataSetInfo/Image" in file else {}
    x, y = (_extent(attributes, axis, shape[-1 - axis]) for axis in (0, 1))
    return pixel_size.edges(x, y, _text(attributes, "Unit") or "um", "ExtMin and ExtMax")


def _extent(attributes: Any, axis: int, size_px: int) -> float | None:
    """Length of a pixel along an axis; None if it is not stated."""
    try:
        first, last = (float(_text(attributes, f"Ext{end}{axis}")) for end in ("Min", "Max"))
    except ValueError:
        return None
    return (last - first) / size_px


def _channel_names(file: Any, count: int) -> tuple[str, ...]:
    channels = (f"DataSetInfo/Channel {channel}" for channel in range(count))
    return tuple(_text(file[name].attrs, "Name") if name in file else "" for name in channels)
