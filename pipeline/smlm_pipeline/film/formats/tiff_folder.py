"""Read folders of TIFF files: a film of one file for each frame, or Micro-Manager's folders."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Source, SourceAtRest, plausible_nm, squeezed
from smlm_pipeline.film.formats.tiff import open_tiff

_ENDINGS = {".tif", ".tiff"}

_MICRO_MANAGER_2 = re.compile(
    r"img_channel(?P<C>\d+)_position(?P<P>\d+)_time(?P<T>\d+)_z(?P<Z>\d+)\.tiff?", re.IGNORECASE
)
_MICRO_MANAGER_1 = re.compile(r"img_(?P<T>\d+)_(?P<C>.+)_(?P<Z>\d+)\.tiff?", re.IGNORECASE)


class FileSeries(SourceAtRest):
    """One file for each plane, all of one shape and type."""

    def __init__(self, path: Path, files: list[Path], axes: str, shape: tuple[int, ...]) -> None:
        self.path, self._files = path, files
        with TiffFile(files[0]) as tif:
            page = tif.pages.first
            if page.ndim != 2:
                raise refusal(files[0], "is no grey image", "export the raw film of the camera")
            self._plane_px, self.dtype = page.shape, np.dtype(page.dtype).newbyteorder("=")
            manager = page.tags.valueof("MicroManagerMetadata")
        self.axes, self.shape = squeezed(axes + "YX", (*shape, *self._plane_px))
        size_um = manager.get("PixelSizeUm") if isinstance(manager, dict) else None
        self.pixel_size_nm = plausible_nm(float(size_um), "um") if size_um else None

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the files of the planes; see `Source.read`."""
        read = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for index, plane in enumerate(planes):
            with TiffFile(self._files[plane]) as tif:
                frame = tif.pages.first.asarray()
            if frame.shape != self._plane_px or frame.dtype != self.dtype:
                problem = (
                    f"is {frame.shape} {frame.dtype}, the first file {self._plane_px} {self.dtype}"
                )
                remedy = "keep the files of one film alone in the folder"
                raise refusal(self._files[plane], problem, remedy)
            read[index] = frame[y, x]
        return read


def open_folder(folder: Path) -> Source:
    """Open the one film in a folder of TIFF files.

    Raises
    ------
    FilmError or any error of tifffile
        If the folder holds no film or several.
    """
    files = sorted(
        (file for file in folder.iterdir() if _is_tiff(file)), key=lambda file: _natural(file.name)
    )
    if not files:
        raise refusal(folder, "is a folder without a film", "name the film's file")
    with TiffFile(files[0]) as tif:
        single = not tif.pages.is_multipage
    if single and len(files) > 1:
        return _series(folder, files)
    if len(files) == 1 or all("_MMStack" in file.name for file in files):
        return _micro_manager_stack(folder, files)
    names = ", ".join(file.name for file in files[:3])
    raise refusal(folder, f"holds {len(files)} films ({names}, ...)", "name the file of one")


def _micro_manager_stack(folder: Path, files: list[Path]) -> Source:
    """The film of a folder of 4 GB files, opened by the first file, which refers to the others."""
    firsts = [file for file in files if not re.search(r"_\d+\.ome\.tiff?$", file.name)]
    if len(firsts) > 1:
        remedy = f"name one of {', '.join(file.name for file in firsts[:3])}"
        raise refusal(folder, f"holds {len(firsts)} positions", remedy)
    return open_tiff(firsts[0] if firsts else files[0])


def _series(folder: Path, files: list[Path]) -> FileSeries:
    """Axes from Micro-Manager's file names if all have them; else time in numerical order."""
    for pattern in (_MICRO_MANAGER_2, _MICRO_MANAGER_1):
        named = [pattern.fullmatch(file.name) for file in files]
        if all(named):
            by_place = {
                tuple(match.group(axis) if axis in match.groupdict() else "" for axis in "PTCZ"): f
                for match, f in zip(named, files, strict=True)
                if match
            }
            return _grid(folder, by_place)
    return FileSeries(folder, files, "T", (len(files),))


def _grid(folder: Path, by_place: dict[tuple[str, ...], Path]) -> FileSeries:
    """Files in the order of P, T, C, Z; every place of the grid needs a file."""
    places = [sorted({place[axis] for place in by_place}) for axis in range(4)]
    shape = tuple(len(along) for along in places)
    ordered = [by_place.get(place) for place in product(*places)]
    files = [file for file in ordered if file is not None]
    if len(files) < len(ordered):
        problem = f"lacks {len(ordered) - len(files)} of the {len(ordered)} files of its series"
        raise refusal(folder, problem, "copy the folder again")
    return FileSeries(folder, files, "PTCZ", shape)


def _is_tiff(file: Path) -> bool:
    return file.suffix.lower() in _ENDINGS and not file.name.startswith(".") and file.is_file()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorting key: frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
