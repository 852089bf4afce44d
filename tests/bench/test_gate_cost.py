"""``recon-bench gate``: each way to a server is measured, and only the gate checks shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.certificates import needs_openssl
from smlm_bench.cli import app
from smlm_bench.gate import measure

pytestmark = [pytest.mark.triton, needs_openssl]


def test_ways_are_measured_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 1)
    output = tmp_path / "gate.json"
    options = ["--size-px", "32", "--frames", "2", "--requests", "5", "-o", str(output)]
    result = CliRunner().invoke(app, ["gate", *options])
    assert result.exit_code == 0, result.stderr
    found = {each["name"]: each for each in json.loads(output.read_text())["ways"]}
    assert found.keys() >= {"direct", "gate", "gate, TLS"}
    for name, each in found.items():
        assert each["checks_shapes"] == name.startswith("gate"), name
        assert 0 < each["median_ms"] <= each["p95_ms"]
        assert each["requests_per_s"] > 0
        if name == "direct" or name.startswith("gate"):
            assert (each["cpu_ms"] > 0) == (name != "direct")
        assert f"| {name} |" in result.stdout
