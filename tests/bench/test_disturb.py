"""``recon-bench disturb`` compares the image of each disturbed film with the truth that is left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("typer")

from smlm_bench.cli import app
from smlm_bench.disturb import measure
from smlm_training.simulation.disturbances import DISTURBANCES

JOINED = ["bleaches from dense", "joined to a film of brighter molecules"]
CHOSEN = ["shutter closed in one frame", "8 rows of zeros at both ends"]


def test_each_film_and_disturbance_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = replace(measure.FILMS["rings"], frames=24, height_px=32, width_px=32)
    monkeypatch.setattr(measure, "FILMS", {"rings": scene})
    chosen = {name: DISTURBANCES[name] for name in CHOSEN}
    monkeypatch.setattr(measure, "DISTURBANCES", chosen)
    result = CliRunner().invoke(app, ["disturb", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "disturb.json").read_text())
    assert [row["disturbance"] for row in rows] == ["undisturbed", *CHOSEN, *JOINED]
    for row in rows:
        assert row["film"] == "rings"
        assert row["sum_ratio"] == pytest.approx(1, abs=0.3)
        assert 0 < row["nmse_percent"] < 200
        assert row["outside_ratio"] == 0
    lines = (tmp_path / "disturb.md").read_text().splitlines()
    assert lines[0] == "| disturbance | rings: sum, NMSE |"
    assert len(lines) == 2 + len(rows)
    assert (
        lines[2] == f"| undisturbed | {rows[0]['sum_ratio']:.3f}, {rows[0]['nmse_percent']:.1f} |"
    )
