"""Tables as HDF5: Picasso's records, and DECODE's arrays."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.tables.rows import READ_ROWS, Rows, Table, TableFacts

_LOCS, _METADATA = "locs", "metadata"

_HALF_PX = 0.5
"""Both programs count from the centre of the first pixel, we from its corner."""

_PICASSO: tuple[tuple[str, str, str], ...] = (
    ("frame", "frame", "<u4"),
    ("x", "x_nm", "<f4"),
    ("y", "y_nm", "<f4"),
    ("z", "z_nm", "<f4"),
    ("photons", "photons", "<f4"),
    ("sx", "spot_sigma_x_nm", "<f4"),
    ("sy", "spot_sigma_y_nm", "<f4"),
    ("bg", "background_photons", "<f4"),
    ("lpx", "uncertainty_x_nm", "<f4"),
    ("lpy", "uncertainty_y_nm", "<f4"),
    ("len", "detections", "<u4"),
    ("probability", "probability", "<f4"),
)
"""Picasso's fields (doi 10.1038/nprot.2017.024), ours, and their types; places are in pixels."""

_IN_PIXELS = {"x", "y", "sx", "sy", "lpx", "lpy"}


class _Arrays:
    """Data sets of known lengths in a new HDF5 file, whose values follow.

    HDF5 lays out the file and is closed before the first value is written: with a full disk the
    library cannot be closed any more, and may end the process.

    Parameters
    ----------
    file : binary file
        Open for writing, and empty.
    arrays : Mapping of str to shape of a row and type
        The data sets, by their paths.
    row_count : int
        Rows of each.
    """

    def __init__(
        self, file: BinaryIO, arrays: Mapping[str, tuple[tuple[int, ...], Any]], row_count: int
    ) -> None:
        self._file, self._offsets = file, {}
        self._types = {name: np.dtype(kind) for name, (_, kind) in arrays.items()}
        with self.opened("w") as new:
            for name, (shape, kind) in arrays.items():
                self._offsets[name] = _laid_out(new, name, (row_count, *shape), np.dtype(kind))

    def opened(self, mode: str) -> Any:
        """The file in the library, for what is no long array; it must be closed again."""
        return h5py.File(self._file.name, mode, locking=False)

    def write(self, name: str, values: NDArray[Any]) -> None:
        """Write the next rows of a data set."""
        data = np.ascontiguousarray(values, self._types[name])
        self._file.seek(self._offsets[name])
        self._file.write(data.view(np.uint8).data if data.size else b"")
        self._offsets[name] += data.nbytes


def _laid_out(new: Any, name: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> int:
    """Make a data set with room for all values; their place in the file, in bytes."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    folder, _, own_name = name.rpartition("/")
    group = new.require_group(folder) if folder else new
    space = h5py.h5s.create_simple(shape)
    record = h5py.h5t.py_create(kind, logical=True)
    made = h5py.h5d.create(group.id, own_name.encode(), record, space, properties)
    return made.get_offset() or 0  # none of a data set without rows


class PicassoWriter:
    """Writes Picasso's ``locs``, and its metadata, into an HDF5 file.

    Raises
    ------
    SettingError
        If the pixel size or the uncertainties, which the format needs, are not known.
    """

    def __init__(self, file: BinaryIO, facts: TableFacts, row_count: int) -> None:
        self._pixel_nm = _pixel_size(facts, "Picasso")
        if not {"uncertainty_x_nm", "uncertainty_y_nm"} <= set(facts.columns):
            raise SettingError(
                "Picasso's format needs the uncertainty of each place, which the table does not "
                "have; expected a table that states it: choose a name in .csv or .parquet"
            )
        fields = [field for field in _PICASSO if field[1] in facts.columns]
        self._names = {name: source for name, source, _ in fields}
        self._record = np.dtype([(name, kind) for name, _, kind in fields])
        self._arrays = _Arrays(file, {_LOCS: ((), self._record)}, row_count)
        self._documents = json.loads(json.dumps(_picasso_documents(facts), default=str))
        with self._arrays.opened("r+") as opened:
            opened.create_dataset(_METADATA, data=json.dumps(self._documents))

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        records = np.empty(len(rows), self._record)
        for name, source in self._names.items():
            values = rows[source]
            if np.isnan(values).any():
                raise SettingError(
                    f"some molecules have no {source}, and Picasso leaves out such rows; expected "
                    "a value in each: choose a name in .csv or .parquet"
                )
            if name in _IN_PIXELS:
                values = values / self._pixel_nm
            records[name] = values - _HALF_PX if name in ("x", "y") else values
        self._arrays.write(_LOCS, records)

    def finish(self) -> str:
        """The text of the YAML file beside the table."""
        return str(yaml.safe_dump_all(self._documents, sort_keys=False, allow_unicode=True))

    def release(self) -> None:
        """Nothing is open."""


def _picasso_documents(facts: TableFacts) -> list[dict[str, Any]]:
    """The documents of Picasso's metadata: the film, and the making of the table."""
    film = {
        "Byte Order": "<",
        "Data Type": "uint16",
        "Frames": facts.frame_count,
        "Height": facts.height_px,
        "Width": facts.width_px,
    }
    made = {
        "Generated by": facts.provenance.get("software", "smlm-recon"),
        "Pixelsize": facts.pixel_size_nm,
        **{name: value for name, value in facts.provenance.items() if name != "software"},
    }
    return [film, made]


class DecodeWriter:
    """Writes DECODE's ``EmitterSet`` into an HDF5 file.

    DECODE's x counts rows and its y columns; what is not known is NaN, or an empty data set
    where the format has that.
    """

    def __init__(self, file: BinaryIO, facts: TableFacts, row_count: int) -> None:
        self._pixel_nm = _pixel_size(facts, "DECODE")
        self._row_count = 0
        self._names = [
            name for name in _DECODE if _DECODE_NEEDS.get(name, "frame") in facts.columns
        ]
        arrays = {f"data/{name}": _DECODE[name] for name in self._names}
        self._arrays = _Arrays(file, arrays, row_count)
        with self._arrays.opened("r+") as opened:
            meta, decode = opened.create_group("meta"), opened.create_group("decode")
            meta.attrs.update(xy_unit="px", px_size=np.full(2, self._pixel_nm, np.float32))
            meta.attrs["smlm_recon"] = json.dumps(dict(facts.provenance), default=str)
            decode.attrs["version"] = "none: written by smlm-recon"
            for name in ("xyz_sig", "xyz_cr", "phot_cr", "phot_sig", "bg_cr", "bg_sig"):
                if name not in self._names:
                    opened.create_dataset(f"data/{name}", data=h5py.Empty("f"))

    def add(self, rows: Rows) -> None:
        """Write the next rows."""
        count, pixel_nm = len(rows), self._pixel_nm
        unknown = np.full(count, np.nan)
        place = [rows[name] / pixel_nm - _HALF_PX for name in ("y_nm", "x_nm")]
        values: dict[str, Callable[[], NDArray[Any]]] = {
            "xyz": lambda: np.column_stack([*place, _or(rows, "z_nm", np.zeros(count))]),
            "xyz_sig": lambda: np.column_stack(
                [*(rows[f"uncertainty_{axis}_nm"] / pixel_nm for axis in "yx"), unknown]
            ),
            "phot": lambda: _or(rows, "photons", unknown),
            "phot_sig": lambda: rows["uncertainty_photons"],
            "frame_ix": lambda: rows["frame"],
            "id": lambda: np.arange(self._row_count, self._row_count + count),
            "prob": lambda: _or(rows, "probability", np.ones(count)),
            "bg": lambda: _or(rows, "background_photons", unknown),
        }
        for name in self._names:
            self._arrays.write(f"data/{name}", values[name]())
        self._row_count += count

    def finish(self) -> None:
        """Nothing is left to write."""

    def release(self) -> None:
        """Nothing is open."""


_DECODE: Mapping[str, tuple[tuple[int, ...], str]] = {
    "xyz": ((3,), "<f4"),
    "xyz_sig": ((3,), "<f4"),
    "phot": ((), "<f4"),
    "phot_sig": ((), "<f4"),
    "frame_ix": ((), "<i8"),
    "id": ((), "<i8"),
    "prob": ((), "<f4"),
    "bg": ((), "<f4"),
}
"""DECODE's arrays (doi 10.1038/s41592-021-01236-x) that have a value for each molecule."""

_DECODE_NEEDS = {"xyz_sig": "uncertainty_x_nm", "phot_sig": "uncertainty_photons"}
"""Columns without which an array is empty; the others are NaN, or what DECODE takes for unknown."""


@contextlib.contextmanager
def open_hdf5(path: Path, pixel_size_nm: float | None) -> Iterator[Table]:
    """Open a table of Picasso or DECODE, which the contents tell apart.

    Parameters
    ----------
    path : Path
        The file.
    pixel_size_nm : float, optional
        Edge of a camera pixel, in place of what the file states.

    Raises
    ------
    FilmError
        If it is neither, or does not state its pixel size.
    """
    with h5py.File(path, "r") as file:
        if isinstance(file.get(_LOCS), h5py.Dataset) and file[_LOCS].dtype.names:
            yield _picasso_table(path, file, pixel_size_nm)
        elif isinstance(file.get("data/xyz"), h5py.Dataset):
            yield _decode_table(path, file, pixel_size_nm)
        else:
            raise FilmError(
                f"{path} is no table of molecules that is known; expected Picasso's ('locs') or "
                "DECODE's ('data/xyz'): export it as CSV in ThunderSTORM's format"
            )


def _picasso_table(path: Path, file: Any, pixel_size_nm: float | None) -> Table:
    locs = file[_LOCS]
    stated: dict[str, Any] = {}
    for document in _documents(path, file):  # a later one describes a later step
        stated |= {name: value for name, value in document.items() if value is not None}
    pixel_nm = _stated_pixel_size(path, pixel_size_nm or stated.get("Pixelsize"))
    fields = {name: source for name, source, _ in _PICASSO if name in locs.dtype.names}
    ignored = tuple(name for name in locs.dtype.names if name not in fields)

    def blocks() -> Iterator[Rows]:
        for first in range(0, len(locs), READ_ROWS):
            records = locs[first : first + READ_ROWS]
            columns = {}
            for name, source in fields.items():
                values = records[name].astype(np.int64 if name in ("frame", "len") else np.float64)
                values = values + _HALF_PX if name in ("x", "y") else values
                columns[source] = values * pixel_nm if name in _IN_PIXELS else values
            yield Rows(columns)

    facts = TableFacts(
        tuple(fields.values()),
        pixel_nm,
        _whole(stated.get("Width")),
        _whole(stated.get("Height")),
        _whole(stated.get("Frames")),
    )
    return Table(facts, blocks, len(locs), ignored)


def _documents(path: Path, file: Any) -> list[dict[str, Any]]:
    """Picasso's metadata: of the YAML file beside the table, or of the table itself."""
    beside = path.with_suffix(".yaml")
    try:
        if beside.is_file():
            found = list(yaml.safe_load_all(beside.read_text(encoding="utf-8")))
        else:
            found = json.loads(file[_METADATA][()]) if _METADATA in file else []
    except (ValueError, yaml.YAMLError) as error:
        raise FilmError(
            f"the metadata of {path} cannot be read ({type(error).__name__}); expected the .yaml "
            "file that Picasso wrote beside it"
        ) from error
    return [each for each in found if isinstance(each, dict)]


def _decode_table(path: Path, file: Any, pixel_size_nm: float | None) -> Table:
    data, meta = file["data"], dict(file["meta"].attrs) if "meta" in file else {}
    stated = meta.get("px_size")
    sizes = np.ravel(np.asarray(stated if pixel_size_nm is None else pixel_size_nm, np.float64))
    if not np.allclose(sizes, sizes[:1]):
        raise FilmError(f"{path} has pixels of {sizes} nm; expected square pixels")
    pixel_nm = _stated_pixel_size(path, sizes[0] if sizes.size else None)
    unit_nm = 1.0 if meta.get("xy_unit") == "nm" else pixel_nm
    arrays = {name: data[name] for name in _DECODE if name in data and data[name].shape}
    columns = ["frame", "x_nm", "y_nm"]
    columns += ["z_nm"] if _any(arrays["xyz"], lambda part: part[:, 2] != 0) else []
    sources = {"phot": "photons", "bg": "background_photons", "prob": "probability"}
    sources["phot_sig"] = "uncertainty_photons"
    known = [
        name
        for name in sources
        if name in arrays and _any(arrays[name], lambda part: np.isfinite(part))
    ]
    columns += [sources[name] for name in known]
    if "xyz_sig" in arrays:
        columns += ["uncertainty_x_nm", "uncertainty_y_nm"]

    def blocks() -> Iterator[Rows]:
        for first in range(0, len(arrays["xyz"]), READ_ROWS):
            part = slice(first, first + READ_ROWS)
            xyz = arrays["xyz"][part].astype(np.float64)
            found = {"frame": arrays["frame_ix"][part].astype(np.int64), "z_nm": xyz[:, 2]}
            for axis, name in enumerate("yx"):
                found[f"{name}_nm"] = xyz[:, axis] * unit_nm + _HALF_PX * pixel_nm
                if "xyz_sig" in arrays:
                    sigma = arrays["xyz_sig"][part, axis].astype(np.float64)
                    found[f"uncertainty_{name}_nm"] = sigma * unit_nm
            found |= {sources[name]: arrays[name][part].astype(np.float64) for name in known}
            yield Rows({name: found[name] for name in columns})

    return Table(TableFacts(tuple(columns), pixel_nm), blocks, len(arrays["xyz"]))


def _any(dataset: Any, holds: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> bool:
    """Whether a condition holds for any row of a data set."""
    parts = (dataset[first : first + READ_ROWS] for first in range(0, len(dataset), READ_ROWS))
    return any(holds(part).any() for part in parts)


def _or(rows: Rows, name: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    return rows.columns.get(name, otherwise)


def _pixel_size(facts: TableFacts, program: str) -> float:
    if facts.pixel_size_nm is None:
        raise SettingError(
            f"{program}'s format counts in camera pixels, whose size the table does not state; "
            "expected it: give it with --pixel-size-nm"
        )
    return facts.pixel_size_nm


def _stated_pixel_size(path: Path, value: Any) -> float:
    try:
        pixel_nm = float(value)
    except (TypeError, ValueError):
        pixel_nm = 0.0
    if not 0 < pixel_nm < float("inf"):
        raise FilmError(
            f"{path} counts in camera pixels and does not state their size; expected it: give it "
            "with --pixel-size-nm"
        )
    return pixel_nm


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
