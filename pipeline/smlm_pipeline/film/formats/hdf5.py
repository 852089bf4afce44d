"""Read films of HDF5 files; Imaris' files, which are HDF5 too, are read in `imaris`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats import pixel_size
from smlm_pipeline.film.formats.positions import Positions
from smlm_pipeline.film.formats.refusals import AGAIN, extra, refusal
from smlm_pipeline.film.formats.source import Gaps, Source, squeezed, steps
from smlm_pipeline.film.formats.turned_axes import remarks_on_axes

MAGIC = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""

_EXPORT = "save the frames as one data set of T,Y,X, or as TIFF"


class Hdf5Source(Source):
    """One data set of a file; only the blocks of the requested planes are decoded."""

    def __init__(self, path: Path, file: Any, dataset: Any, axes: str) -> None:
        self.path, self._file, self._dataset = path, file, dataset
        self.axes, self.shape = squeezed(axes, tuple(dataset.shape))
        self.dtype = np.dtype(dataset.dtype).newbyteorder("=")
        sizes = [float(size) for size in np.ravel(dataset.attrs.get("element_size_um", 0.0))]
        stated = pixel_size.edges(sizes[-1], sizes[-2:][0], "um", "element_size_um")
        self.pixel_size_nm, self.pixel_doubt = pixel_size.settle([stated])
        self._written = None if is_written(dataset) else _written_blocks(dataset)

    def gaps_in(self, y: slice, x: slice) -> Gaps | None:
        """The planes all of whose blocks in a region were written; see `Source.gaps_in`."""
        if self._written is None:
            return None
        chunks, leading = self._dataset.chunks, self._dataset.shape[:-2]
        rows, columns = (
            slice(side.start // chunk, -(-side.stop // chunk))
            for side, chunk in zip((y, x), chunks[-2:], strict=True)
        )
        whole = self._written[..., rows, columns].all(axis=(-2, -1))
        for axis, (size, chunk) in enumerate(zip(leading, chunks[:-2], strict=True)):
            whole = np.repeat(whole, chunk, axis=axis).take(range(size), axis=axis)
        reason = f"blocks of {self._dataset.name} were never written"
        return Gaps(np.flatnonzero(whole), reason, AGAIN)

    @property
    def decoded_bytes(self) -> int:
        """A plane, and a block of the data set."""
        block = math.prod(self._dataset.chunks or ()) * self.dtype.itemsize
        return super().decoded_bytes + block

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return not self._file

    def read(self, planes: range, y: slice, x: slice) -> NDArray[Any]:
        """Decode the region of the planes; see `Source.read`."""
        part = self._dataset[(*steps(planes, tuple(self._dataset.shape[:-2])), y, x)]
        return np.asarray(part, self.dtype).reshape(len(planes), *part.shape[-2:])


def open_hdf5(path: Path) -> Source:
    """Open the data set of three axes or more in an HDF5 file; several ones are positions.

    Raises
    ------
    FilmError
        If the package h5py is missing, or the file holds no film.
    """
    with ExitStack() as on_error:
        file = on_error.enter_context(opened(path, "hdf5"))
        films = [(name, node) for name, node in _datasets(file) if node.ndim > 2]
        if not films:
            remedy = "save the film as one data set of T,Y,X"
            raise refusal(path, "holds no data set of three axes", remedy)
        sources = []
        for name, dataset in films:
            if "MATLAB_class" in dataset.attrs:
                problem = f"is a MATLAB file, whose axes are turned: {name} is {dataset.shape}"
                raise refusal(path, problem, "save the film as TIFF (imwrite, Tiff or saveastiff)")
            check_dataset(path, dataset)
            source = Hdf5Source(path, file, dataset, _axes(path, name, dataset))
            if not any(dimension.label for dimension in dataset.dims):
                source.warnings = remarks_on_axes(name, tuple(dataset.shape))
            sources.append(source)
        several = Positions(path, sources, [name for name, _ in films])
        on_error.pop_all()
        return sources[0] if len(sources) == 1 else several


def opened(path: Path, extra_name: str) -> Any:
    """The file, open for reading.

    Raises
    ------
    FilmError
        If the package h5py is missing, or the file is damaged.
    """
    with extra(path, extra_name):
        import h5py  # an extra, which most films do not need
    return h5py.File(path, "r", locking="best-effort")


def check_dataset(path: Path, dataset: Any) -> None:
    """Check that a data set can be decoded, and that something was written.

    Raises
    ------
    FilmError
        If a filter is not available, or the data set is empty: HDF5 would read it as zeros.
    """
    if dataset.is_virtual:
        raise refusal(path, f"refers to other files for {dataset.name}", _EXPORT)
    if not dataset.id.get_create_plist().all_filters_avail():
        remedy = "repack it (h5repack -f GZIP=1 FILE COPY) or save it uncompressed"
        raise refusal(path, "is compressed in a form that cannot be decoded here", remedy)
    if not dataset.chunks and not dataset.id.get_storage_size() and not dataset.external:
        raise refusal(path, f"was never written: {dataset.name} is empty", AGAIN)


def is_written(dataset: Any) -> bool:
    """Whether all blocks of a data set were written; HDF5 reads the others as zeros."""
    if not dataset.chunks:
        return bool(dataset.id.get_storage_size() or dataset.external)
    return bool(dataset.id.get_num_chunks() >= math.prod(_block_counts(dataset)))


def _block_counts(dataset: Any) -> tuple[int, ...]:
    sides = zip(dataset.shape, dataset.chunks, strict=True)
    return tuple(-(-size // side) for size, side in sides)


def _written_blocks(dataset: Any) -> NDArray[np.bool_]:
    """Whether each block, in the data set's grid of blocks, was written."""
    written = np.zeros(_block_counts(dataset), bool)

    def mark(block: Any) -> None:
        written[tuple(a // b for a, b in zip(block.chunk_offset, dataset.chunks, strict=True))] = 1

    dataset.id.chunk_iter(mark)
    return written


def _datasets(group: Any) -> Iterator[tuple[str, Any]]:
    """Name and node of each data set of numbers below a group; links to outside are left out."""
    for name in group:
        if hasattr(group.get(name, getlink=True), "path"):
            continue
        node = group[name]
        if not hasattr(node, "dtype"):
            yield from _datasets(node) if hasattr(node, "keys") else ()
        elif hasattr(node, "chunks") and node.dtype.kind in "iufc":
            yield node.name, node


def _axes(path: Path, name: str, dataset: Any) -> str:
    """Axes by the labels of the data set's dimensions, else T,Y,X, or T,C,Z,Y,X for five."""
    labels = [str(dimension.label)[:1].upper() for dimension in dataset.dims]
    letters = "".join(labels)
    if not all(labels):
        letters = {3: "TYX", 5: "TCZYX"}.get(dataset.ndim, "")
        leading = dataset.shape[:-2]
        if sum(size > 1 for size in leading) == 1:  # axes of length one need no names
            others = iter("ABDEFGHIJKLMNOQRSUVW")
            letters = "".join("T" if size > 1 else next(others) for size in leading) + "YX"
    if len(letters) != dataset.ndim or letters[-2:] != "YX":
        axes = f"axes {letters}" if letters else "no names of its axes"
        raise refusal(path, f"holds {name} of {dataset.shape} with {axes}, not T,Y,X", _EXPORT)
    return letters
