"""``recon-client drift``: tables without drift, from our own and from other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.command_line import invoke, names
from fakes.drifting_samples import molecules, rms_nm
from fakes.tables import read_back, write
from smlm_pipeline.drift.files import read_drift
from smlm_pipeline.tables.rows import Rows


def _table(path: Path, kind: str) -> Path:
    points, _ = molecules("dots", kind, frames=800, per_frame=4)
    order = np.lexsort([points.yx_nm[0], points.frame])  # as tables are written
    y_nm, x_nm = points.yx_nm[:, order]
    return write(path, Rows({"frame": points.frame[order], "x_nm": x_nm, "y_nm": y_nm}))


def _corrected(*arguments: str | Path) -> dict[str, Any]:
    result = invoke("drift", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_a_table_is_corrected(tmp_path: Path) -> None:
    table, out = _table(tmp_path / "a.csv", "linear"), tmp_path / "b.parquet"
    facts = _corrected(table, "-o", out)
    assert facts["corrected"]
    before, after = read_back(table)[0], read_back(out)[0]
    drift = read_drift(tmp_path / "b.drift.csv").at(before["frame"])
    np.testing.assert_allclose(after["x_nm"], before["x_nm"] - drift[1], atol=2e-3)
    np.testing.assert_allclose(after["y_nm"], before["y_nm"] - drift[0], atol=2e-3)
    _, moved = molecules("dots", "linear", frames=800, per_frame=4)
    frames = np.arange(before["frame"].max() + 1)
    assert rms_nm(read_drift(Path(facts["drift_table"])).at(frames) - moved[:, frames]) < 5
    assert (tmp_path / "b.drift.png").is_file()


def test_a_table_at_rest_stays(tmp_path: Path) -> None:
    table, out = _table(tmp_path / "a.csv", "none"), tmp_path / "b.csv"
    result = invoke("drift", table, "-o", out)
    assert result.exit_code == 0
    assert "not corrected" in result.stdout
    assert "agree on no drift" in result.stderr
    before, after = read_back(table)[0], read_back(out)[0]
    np.testing.assert_array_equal(after["x_nm"], before["x_nm"])


def test_a_drift_from_a_file(tmp_path: Path) -> None:
    table = _table(tmp_path / "a.csv", "linear")
    _corrected(table, "-o", tmp_path / "b.csv")
    facts = _corrected(table, "-o", tmp_path / "c.csv", "--drift", tmp_path / "b.drift.csv")
    assert "error_nm" not in facts
    b, c = (read_back(tmp_path / name)[0] for name in ("b.csv", "c.csv"))
    np.testing.assert_allclose(b["x_nm"], c["x_nm"], atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.csv", "-o", "b.csv"), "there is no table gone.csv"),
        (("a.csv", "-o", "a.csv"), "a.csv would replace a file that is read"),
        (("a.csv", "-o", "b.csv", "--drift", "b.drift.csv"), "would replace a file that is"),
        (("a.csv", "-o", "b.txt"), "expected a name in one of"),
        (("a.csv", "-o", "b.csv", "--pixel-size-nm", "0"), "expected"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _table(tmp_path / "a.csv", "none")
    result = invoke("drift", *arguments)
    assert result.exit_code in (2, 3)
    assert message in result.stderr
    assert names(tmp_path) == ["a.csv"]


def test_earlier_files_are_kept(tmp_path: Path) -> None:
    table = _table(tmp_path / "a.csv", "none")
    (tmp_path / "b.drift.csv").write_text("mine")
    result = invoke("drift", table, "-o", tmp_path / "b.csv")
    assert "exists; expected a new name" in result.stderr
    assert (tmp_path / "b.drift.csv").read_text() == "mine"
