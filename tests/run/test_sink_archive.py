"""The file of a part and of a checkpoint, where their form is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from smlm_pipeline.run.partial_file import read_part_facts, write_partial


def test_a_part_of_a_clock_before_1980(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip states no earlier year."""
    monkeypatch.setattr("time.time", lambda: 3600.0)
    write_partial(tmp_path / "part.npz", {"frames": [0, 8]}, {})
    assert read_part_facts(tmp_path / "part.npz")["frames"] == [0, 8]
