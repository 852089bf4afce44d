"""Read Nikon's ND2 films with the package nd2."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.refusals import extra, refusal
from smlm_pipeline.film.formats.source import Source


class _Unmapped:
    """A plain file for nd2, which would map a path: all pages it reads would count as memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._size_bytes = path.stat().st_size
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int = -1) -> bytes:
        if size > self._size_bytes - self._file.tell():  # nd2 would fill the rest with zeros
            raise EOFError
        content = self._file.read(size)
        if len(content) < size:  # the file has shrunk since it was opened
            raise EOFError
        return content


class Nd2Source(Source):
    """Frames of an ND2 file, which interleaves the channels of a frame."""

    def __init__(self, path: Path, opened: _Unmapped, file: Any) -> None:
        self.path, self._opened, self._file = path, opened, file
        sizes = {axis: size for axis, size in file.sizes.items() if size > 1 or axis in "YX"}
        if "S" in sizes:
            raise refusal(path, "is a colour (RGB) image", "export the raw film of the camera")
        sizes["Y"], sizes["X"] = sizes.pop("Y"), sizes.pop("X")
        self.axes, self.shape = "".join(sizes), tuple(sizes.values())
        self.dtype = np.dtype(file.dtype).newbyteorder("=")
        self._channels = sizes.get("C", 1)
        voxel = file.voxel_size()
        stated = pixel_size.edges(voxel.x, voxel.y, "um", "the calibration")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([stated])

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()
        self._opened.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._opened.closed

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Copy the planes out of their frames; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            frame, channel = divmod(plane, self._channels)
            pixels = self._file.read_frame(frame)
            if not pixels.any():  # nd2 returns zeros for a frame that is missing
                raise refusal(self.path, f"lacks frame {frame}", f"take --frames :{frame}")
            read[index] = pixels.reshape(self._channels, *self.shape[-2:])[channel, y, x]
        return read


def open_nd2(path: Path) -> Nd2Source:
    """Open an ND2 film.

    Raises
    ------
    FilmError
        If the package nd2 is missing, or the file is no film of grey frames.
    """
    with extra(path, "nd2"):
        import nd2  # an extra, which most films do not need
    with ExitStack() as on_error:
        opened = _Unmapped(path)
        on_error.callback(opened.close)
        source = Nd2Source(path, opened, nd2.ND2File(opened))
        on_error.pop_all()
        return source
