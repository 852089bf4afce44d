"""The file of a drift: CSV, a row for each frame, in nm."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.errors import SettingError

COLUMNS = ("frame", "drift_x_nm", "drift_y_nm")
"""Columns of the file. Frames count from 0, as the film's file does."""

_ROWS_AT_ONCE = 1 << 16


def write_drift(path: Path, drift: Drift, frames: Iterable[int]) -> None:
    """Write the drift of each frame.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    drift : Drift
        In nm.
    frames : iterable of int
        Frames to list, ascending.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    left = iter(frames)
    with written_whole(path) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        while block := list(itertools.islice(left, _ROWS_AT_ONCE)):
            y_nm, x_nm = drift.at(np.array(block, np.int64)).tolist()
            rows = zip(block, x_nm, y_nm, strict=True)
            text = "".join(f"{frame},{x:.3f},{y:.3f}\n" for frame, x, y in rows)
            file.write(text.encode())


def read_drift(path: Path) -> Drift:
    """Read a drift; frames that the file does not list are interpolated.

    Raises
    ------
    SettingError
        If there is no such file, or it is of another form.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader) if set(COLUMNS) <= set(columns) else []
    except FileNotFoundError as error:
        raise SettingError(
            f"there is no drift file {path}; expected an existing file, or --drift auto or off"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refusal(path, "it cannot be read") from error
    if not set(COLUMNS) <= set(columns):
        raise _refusal(path, f"its columns are {', '.join(columns)}")
    try:
        values = [[float(row[name]) for name in COLUMNS] for row in rows]
    except (TypeError, ValueError) as error:
        raise _refusal(path, "a value is no number") from error
    return _checked(path, np.array(values, np.float64).reshape(-1, len(COLUMNS)))


def check_covers(path: Path, drift: Drift, first_frame: int, last_frame: int) -> None:
    """Refuse a drift that does not reach from one frame to the other.

    Raises
    ------
    SettingError
        If it begins later or ends earlier.
    """
    first, last = int(drift.frame[0]), int(drift.frame[-1])
    if first > first_frame or last < last_frame:
        raise SettingError(
            f"{path} has the drift of frames {first} to {last}, the film has frames {first_frame} "
            f"to {last_frame} (counted from 0); expected a drift of all frames: is it the drift "
            "of this film?"
        )


def _checked(path: Path, values: NDArray[np.float64]) -> Drift:
    if not len(values):
        raise _refusal(path, "it has no rows")
    if not np.isfinite(values).all():
        raise _refusal(path, "a value is no number")
    if not (np.diff(values[:, 0]) > 0).all():
        raise _refusal(path, "its frames are not in ascending order")
    return Drift(values[:, 0].copy(), values[:, :0:-1].T.copy())


def _refusal(path: Path, reason: str) -> SettingError:
    return SettingError(
        f"{path} cannot be read as a drift ({reason}); expected CSV with the columns "
        f"{', '.join(COLUMNS)}, a row for each frame in ascending order, counted from 0"
    )
