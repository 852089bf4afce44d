"""A sink that keeps the molecules of all chunks on disk, and hands them out as a table."""

from __future__ import annotations

import contextlib
import errno
import io
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import CheckpointError, InferenceError, OutputError
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.tables.camera_units import CameraUnits, light_columns
from smlm_pipeline.tables.row_file import RowFile
from smlm_pipeline.tables.rows import Rows

_RECORD = np.dtype(
    [("frame", "<i4"), ("y_px", "<f8"), ("x_px", "<f8")]
    + [(name, "<f4") for name in contract.MOLECULE_COLUMNS[3:6]]
    + [(name, "<f4") for name in ("intensity_adu", "sigma_intensity_adu", "background_adu")]
)
"""44 bytes a molecule: the frame and the place as the film's file counts them, light in ADU."""


def check_molecules(chunk: Chunk, table: NDArray[np.float32]) -> None:
    """Check that molecules (M, 8) are in the chunk's core, and are numbers.

    Raises
    ------
    InferenceError
        If one is not.
    """
    y, x = chunk.tile.y, chunk.tile.x
    positive = len(contract.MOLECULE_COLUMNS) - 3
    low = [0, y.core_start - y.read_start, x.core_start - x.read_start, *[0] * positive]
    size = [chunk.frame_count, y.core_size, x.core_size, *[np.inf] * positive]
    within = (table >= low) & (table < np.add(low, size))  # false for what is no number
    if not within.all():
        raise InferenceError(
            f"chunk {chunk.index} came back with a molecule outside of its core, or one that "
            "is not a number; expected molecules as contract.py states them: update the server"
        )


class MoleculeSink(AbstractContextManager["MoleculeSink"]):
    """Keeps the molecules of a run in a file beside its checkpoint, which grows at its end alone.

    It is a `Sink`, whose state is the place of each chunk's rows in that file. The file is
    removed with the checkpoint: when the sink is left, it stays only where a checkpoint is.

    Parameters
    ----------
    checkpoint : Path
        The checkpoint of the run.
    probability_min : float
        Molecules that are less probable are left out.
    corner : Corner
        Where the film begins in its file: rows count frames and pixels as the file does.
    """

    name = "molecules"

    def __init__(self, checkpoint: Path, probability_min: float, corner: Corner) -> None:
        self.path = checkpoint.with_name(f"{checkpoint.name}.molecules")
        self.probability_min = probability_min
        self._checkpoint, self._corner = checkpoint, corner
        self._opened: RowFile | None = None
        self._blank: NDArray[np.bool_] | None = None
        self._close = contextlib.ExitStack()

    def __exit__(self, *_: object) -> None:
        """Close the file, and remove it unless a checkpoint refers to it."""
        self._close.close()
        if not self._checkpoint.is_file():
            with contextlib.suppress(OSError):  # a file that is left does no harm
                self.path.unlink()

    def leave_out(self, blank: NDArray[np.bool_]) -> None:
        """Leave out molecules in the camera pixels (Y, X) of the film that are true."""
        self._blank = blank if blank.any() else None

    @property
    def row_count(self) -> int:
        """Molecules so far."""
        return self._rows.row_count

    def check(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Refuse molecules that do not fit the chunk.

        Raises
        ------
        InferenceError
            If there are none where they were asked for, or one is not in the chunk's core.
        """
        table = answer.molecules
        if table is None or table.ndim != 2 or table.shape[1] != len(contract.MOLECULE_COLUMNS):
            shape = None if table is None else table.shape
            raise InferenceError(
                f"chunk {chunk.index} came back with molecules of shape {shape}; expected M rows "
                f"of {len(contract.MOLECULE_COLUMNS)}: leave out --molecules, or update the server"
            )
        check_molecules(chunk, table)

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Write the molecules of a chunk to the file.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        if answer.molecules is None:
            return
        if answer.levels_adu is None:
            raise ValueError(f"the levels of chunk {chunk.index} are not in its answer")
        frame, y_px, x_px, sigma_y_px, sigma_x_px, probability, *light = answer.molecules.T
        numbers = np.asarray(self._corner.frames[chunk.first_frame : chunk.last_frame])
        rows = np.empty(len(frame), _RECORD)
        rows["frame"] = numbers[frame.astype(np.int64)]
        rows["y_px"] = y_px.astype(np.float64) + (self._corner.y_px + chunk.tile.y.read_start)
        rows["x_px"] = x_px.astype(np.float64) + (self._corner.x_px + chunk.tile.x.read_start)
        rows["sigma_y_px"], rows["sigma_x_px"] = sigma_y_px, sigma_x_px
        rows["probability"] = probability
        background_adu, scale_adu = answer.levels_adu[frame.astype(np.int64)].T
        rows["intensity_adu"], rows["sigma_intensity_adu"] = np.multiply(light, scale_adu)
        rows["background_adu"] = background_adu
        kept = probability >= np.float32(self.probability_min)
        if self._blank is not None:
            row, column = (np.floor(rows[axis]).astype(np.int64) for axis in ("y_px", "x_px"))
            kept &= ~self._blank[row - self._corner.y_px, column - self._corner.x_px]
        left = np.flatnonzero(kept)
        order = np.argsort(rows["frame"][left], kind="stable")
        with self._writing():
            self._rows.add(rows.take(left[order]))  # NumPy's indexing takes ten times as long

    def write_to(self, file: IO[bytes]) -> None:
        """Write the place of each chunk's rows; the rows are on the disk already."""
        with self._writing():
            self._rows.flush()
        facts = {"probability_min": self.probability_min, "checksum": self._rows.checksum}
        file.write(json.dumps(facts).encode() + b"\n")
        np.save(file, self._rows.runs)

    def read_from(self, file: IO[bytes]) -> None:
        """Continue the file that a checkpoint describes.

        Raises
        ------
        ValueError
            If the file is damaged.
        CheckpointError
            If it is missing, or the run was begun with another least probability.
        """
        facts = json.loads(file.readline())
        if facts["probability_min"] != self.probability_min:
            raise CheckpointError(
                f"{self._checkpoint} was begun with molecules from probability "
                f"{facts['probability_min']:g} on, this run has {self.probability_min:g}; use the "
                "same, or start over with --overwrite instead of --resume"
            )
        if not self.path.is_file():
            raise CheckpointError(
                f"{self.path} is missing, the molecules of the interrupted run; put it back beside "
                f"{self._checkpoint.name}, or start over with --overwrite instead of --resume"
            )
        self._rows.restore(np.load(io.BytesIO(file.read())), facts["checksum"])

    def write_part_to(self, file: IO[bytes]) -> None:
        """Write all rows, chunk by chunk."""
        counts = self._rows.runs[:, 1].tolist()
        facts = {"probability_min": self.probability_min, "row_counts": counts}
        file.write(json.dumps(facts).encode() + b"\n")
        with self._writing():
            self._rows.copy_to(file)

    def add_from(self, file: IO[bytes]) -> None:
        """Add the rows of another part of the film.

        Raises
        ------
        ValueError
            If the file is damaged, or its molecules begin at another probability.
        OutputError
            If the disk is full.
        """
        facts = json.loads(file.readline())
        if facts["probability_min"] != self.probability_min:
            raise ValueError("of another least probability")
        with self._writing():
            for count in facts["row_counts"]:
                self._rows.add_from(file, count)

    def records(self) -> Iterator[NDArray[Any]]:
        """All molecules in ascending order of frames, and of y and x within a frame.

        Records of ``frame`` and ``y_px``, ``x_px`` as the film's file counts them, and of the
        columns of the contract that follow the place.
        """
        return self._rows.in_order()

    def blocks(
        self, pixel_size_nm: float, camera: CameraUnits | None = None, probability_min: float = 0
    ) -> Iterator[Rows]:
        """Molecules from that probability on as rows of a table, in the order of `records`.

        Light is in photons where the camera is known, else in ADU.
        """
        for rows in self.records():
            yield _in_units(_from(rows, probability_min), pixel_size_nm, camera)

    def count(self, probability_min: float) -> int:
        """Molecules from that probability on."""
        if probability_min <= self.probability_min:
            return self.row_count
        return sum(len(_from(rows, probability_min)) for rows in self.records())

    @property
    def _rows(self) -> RowFile:
        if self._opened is None:
            with self._writing():
                file = self._close.enter_context(
                    self.path.open("r+b" if self.path.is_file() else "w+b")
                )
            self._opened = RowFile(file, _RECORD, ("y_px", "x_px"))
        return self._opened

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else (error.strerror or str(error))
            raise OutputError(
                f"{self.path} cannot be written ({reason}); the molecules take "
                f"{_RECORD.itemsize} bytes each until their table is written: free space, or "
                "choose another folder with -o"
            ) from error


def columns_of(camera: CameraUnits | None) -> tuple[str, ...]:
    """Columns of the table; the networks do not answer with the width of a spot."""
    return _in_units(np.empty(0, _RECORD), 1.0, camera).names


def _from(rows: NDArray[Any], probability_min: float) -> NDArray[Any]:
    """The records that are as probable at least."""
    return rows.take(np.flatnonzero(rows["probability"] >= np.float32(probability_min)))


def _in_units(rows: NDArray[Any], pixel_size_nm: float, camera: CameraUnits | None) -> Rows:
    """Records of `_RECORD` as rows of a table."""
    columns: dict[str, NDArray[Any]] = {"frame": rows["frame"].astype(np.int64)}
    for name, source in (
        ("x_nm", "x_px"),
        ("y_nm", "y_px"),
        ("uncertainty_x_nm", "sigma_x_px"),
        ("uncertainty_y_nm", "sigma_y_px"),
    ):
        columns[name] = rows[source].astype(np.float64) * pixel_size_nm
    columns["probability"] = rows["probability"].astype(np.float64)
    light = light_columns(
        rows["intensity_adu"].astype(np.float64),
        rows["sigma_intensity_adu"].astype(np.float64),
        rows["background_adu"].astype(np.float64),
        camera,
    )
    return Rows({**columns, **light})
