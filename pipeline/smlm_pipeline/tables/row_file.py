"""Rows on disk in runs, each of ascending frames, that are read back in the order of frames.

The memory in use does not grow with the number of rows: a run is read a part at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MERGE_ROWS = 1 << 18
"""Rows of all runs together that are in memory while they are merged."""

_RUN_ROWS_MIN = 256
"""Fewest rows of a run that are read at once."""


class RowFile:
    """Runs of records in a file, which grows at its end alone.

    Parameters
    ----------
    file : binary file
        Open for reading and writing. What it holds already counts after `restore` alone.
    record : dtype
        A structured type with the field ``frame``.
    order : tuple of str
        Fields by which rows of one frame are ordered, so that the order of the runs does not
        matter.
    """

    def __init__(self, file: IO[bytes], record: np.dtype[Any], order: tuple[str, ...]) -> None:
        self._file, self.record, self._order = file, record, order
        self._runs: list[tuple[int, int, int, int]] = []
        self.row_count = 0
        self.checksum = 0

    @property
    def runs(self) -> NDArray[np.int64]:
        """First row, number of rows, first and last frame of each run, (R, 4) int64."""
        return np.array(self._runs, np.int64).reshape(-1, 4)

    def add(self, records: NDArray[Any]) -> None:
        """Write a run of ascending frames; nothing of it counts if that fails.

        Raises
        ------
        OSError
            If the disk is full.
        """
        if not len(records):
            return
        values = np.ascontiguousarray(records, self.record).view(np.uint8)
        self._file.seek(self.row_count * self.record.itemsize)
        self._file.write(values.data)
        frames = records["frame"]
        self._runs.append((self.row_count, len(records), int(frames[0]), int(frames[-1])))
        self.checksum = zlib.crc32(values.data, self.checksum)
        self.row_count += len(records)

    def copy_to(self, file: IO[bytes]) -> None:
        """Write all rows to another file, run after run."""
        self.flush()
        self._file.seek(0)
        left = self.row_count * self.record.itemsize
        while left:
            block = self._file.read(min(left, 1 << 24))
            file.write(block)
            left -= len(block)

    def add_from(self, file: IO[bytes], count: int) -> None:
        """Add the next run of a file that `copy_to` wrote, which has so many rows.

        Raises
        ------
        ValueError
            If the file ends before.
        """
        while count:
            rows = min(count, MERGE_ROWS)
            part = file.read(rows * self.record.itemsize)
            if rows < 0 or len(part) < rows * self.record.itemsize:
                raise ValueError("rows are missing")
            self.add(np.frombuffer(part, self.record))
            count -= rows

    def flush(self) -> None:
        """Hand all rows to the system."""
        self._file.flush()

    def restore(self, runs: NDArray[np.int64], checksum: int) -> None:
        """Continue after the runs that the file holds already.

        Raises
        ------
        ValueError
            If the file does not hold them.
        """
        row_count = int(runs[:, 1].sum())
        found, left = 0, row_count * self.record.itemsize
        self._file.seek(0)
        while left:
            block = self._file.read(min(left, 1 << 24))
            if not block:
                raise ValueError("rows are missing")
            found, left = zlib.crc32(block, found), left - len(block)
        if found != checksum:
            raise ValueError("rows have changed")
        self._runs = [tuple(run) for run in runs.tolist()]
        self.row_count, self.checksum = row_count, checksum

    def in_order(self) -> Iterator[NDArray[Any]]:
        """All rows in ascending order of frames, in blocks (K,)."""
        self.flush()
        waiting = sorted((_Run(*run) for run in self._runs), key=lambda run: -run.first_frame)
        active: list[_Run] = []
        while waiting or active:
            end = min((run.known_to for run in active if run.unread), default=None)
            following = waiting[-1].first_frame if waiting else None
            nearer = following is not None and (end is None or following <= end)
            if nearer and sum(len(run.held) for run in active) < MERGE_ROWS // 2:
                active.append(self._begun(waiting.pop(), len(active) + 1))
                continue
            end = following if nearer else end
            parts = [run.take_before(end) for run in active]
            if any(map(len, parts)):
                yield self._sorted(parts)
            elif nearer:  # its frame is that of all rows held
                active.append(self._begun(waiting.pop(), len(active) + 1))
            else:  # a frame with more rows than are held
                for run in active:
                    if run.unread and run.known_to == end:
                        self._read(run, len(active))
            for run in active:
                if not len(run.held):
                    self._read(run, len(active))
            active = [run for run in active if len(run.held)]

    def _begun(self, run: _Run, active_count: int) -> _Run:
        """A run with its first part."""
        run.held = np.empty(0, self.record)
        self._read(run, active_count)
        return run

    def _read(self, run: _Run, active_count: int) -> None:
        """Read the next part of a run, if there is one."""
        count = min(max(MERGE_ROWS // active_count, _RUN_ROWS_MIN), run.unread)
        self._file.seek(run.next_row * self.record.itemsize)
        part = np.frombuffer(self._file.read(count * self.record.itemsize), self.record)
        run.held = np.concatenate([run.held, part]) if len(run.held) else part
        run.next_row, run.unread = run.next_row + count, run.unread - count

    def _sorted(self, parts: list[NDArray[Any]]) -> NDArray[Any]:
        rows = np.concatenate(parts)
        return np.asarray(rows.take(_order(rows, ("frame", *self._order))))


def _order(rows: NDArray[Any], fields: tuple[str, ...]) -> NDArray[np.int64]:
    """The order of rows (K,) by whole ``frame`` and by other fields; equal ones stay in order.

    One number of 62 bits, which holds the frame and what it can of the first field, is sorted
    several times as fast as all fields. They decide between rows whose numbers are equal.
    """
    frame, values = (np.ascontiguousarray(rows[name]) for name in fields[:2])
    first, last = int(frame.min()), int(frame.max())
    bits = max(0, min(32, 62 - (last - first).bit_length()))
    key = (frame.astype(np.int64) - first) << bits
    low = values.min()
    with np.errstate(all="ignore"):
        steps = (2**bits - 1) / (values.max() - low)
    if np.isfinite(steps):  # else they are all equal, or one is no number
        key += ((values - low) * steps).astype(np.int64)
    order = np.argsort(key)
    equal = np.diff(key[order]) == 0
    if equal.any():
        among = np.append(equal, False) | np.insert(equal, 0, False)
        held = np.sort(order[among])
        order[among] = held[np.lexsort([rows[name][held] for name in reversed(fields)])]
    return order


@dataclass
class _Run:
    """A run while runs are merged: the rows that are held, and those that are not yet read."""

    next_row: int
    unread: int
    first_frame: int
    last_frame: int
    held: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    @property
    def known_to(self) -> int:
        """The last frame of which a row is held; more of its rows may follow."""
        return int(self.held["frame"][-1])

    def take_before(self, frame: int | None) -> NDArray[Any]:
        """Remove the held rows of earlier frames; of all frames if there is no limit."""
        count = len(self.held)
        if frame is not None:
            count = int(np.searchsorted(self.held["frame"], frame))
        taken, self.held = self.held[:count], self.held[count:]
        return taken
