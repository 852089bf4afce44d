"""The file of a drift: what is written is read back, and what is no drift is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smlm_pipeline.drift.curve import Drift, no_drift
from smlm_pipeline.drift.files import check_covers, read_drift, write_drift
from smlm_pipeline.errors import SettingError

DRIFT = Drift(np.array([10.5, 20.5, 40.0]), np.array([[0.0, 30.0, -10.0], [5.0, 5.0, 25.0]]))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    frames = np.arange(3, 60, 2)
    write_drift(tmp_path / "a.csv", DRIFT, frames.tolist())
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:2] == ["frame,drift_x_nm,drift_y_nm", "3,5.000,-22.500"]
    found = read_drift(tmp_path / "a.csv")
    np.testing.assert_allclose(found.at(frames), DRIFT.at(frames), atol=6e-4)


def test_frames_between_rows_and_beyond_them() -> None:
    found = DRIFT.at(np.array([0, 13, 30, 50]))
    np.testing.assert_allclose(found[0], [-31.5, 7.5, 30 - 40 * 9.5 / 19.5, -10 - 40 * 10 / 19.5])
    assert DRIFT.since(30).at(np.array([30])).tolist() == [[0], [0]]
    assert no_drift().at(np.arange(3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("note,drift_y_nm, frame,drift_x_nm\na,1,0,2\nb,3,5,4\n")
    assert read_drift(tmp_path / "a.csv").at(np.array([0, 5])).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its columns are "),
        ("frame,x,y\n0,0,0\n", "its columns are frame, x, y"),
        ("frame,drift_x_nm,drift_y_nm\n", "it has no rows"),
        ("frame,drift_x_nm,drift_y_nm\n0,1\n", "a value is no number"),
        ("frame,drift_x_nm,drift_y_nm\n0,1,nan\n", "a value is no number"),
        ("frame,drift_x_nm,drift_y_nm\n0,1,much\n", "a value is no number"),
        ("frame,drift_x_nm,drift_y_nm\n1,1,1\n1,1,1\n", "its frames are not in ascending order"),
        ("a,b\n", "its columns are a, b"),
    ],
)
def test_what_is_no_drift_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SettingError, match=rf"cannot be read as a drift \({reason}") as caught:
        read_drift(tmp_path / "a.csv")
    assert "expected CSV with the columns frame, drift_x_nm, drift_y_nm" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(SettingError, match="it cannot be read"):
        read_drift(tmp_path / "a.csv")
    with pytest.raises(SettingError, match="there is no drift file"):
        read_drift(tmp_path / "b.csv")


def test_a_drift_of_another_film_is_refused() -> None:
    check_covers(Path("a.csv"), DRIFT, 10, 40)
    for ends in ((9, 20), (10, 41)):
        with pytest.raises(SettingError, match="frames 10 to 40, the film has frames"):
            check_covers(Path("a.csv"), DRIFT, *ends)
