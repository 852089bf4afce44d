"""``submit`` without ``--drift``: one note where the sample moved, and none where it did not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from fakes.command_line import submit, take_for_local
from fakes.drifting_samples import film_adu
from fakes.transports import ComputingTransport

RUN = ("--pixel-size-nm", "100", "--chunk-frames", "20", "--json")


def _notes(film: Path, *options: str) -> list[str]:
    result = submit(film, *RUN, *options)
    notes: list[str] = json.loads(result.stdout)["notes"]
    return [note for note in notes if note.startswith("the sample moved")]


@pytest.mark.parametrize("kind", ["none", "linear"])
def test_drift_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    film = tmp_path / "film.tif"
    tifffile.imwrite(film, film_adu(kind, frames=240), photometric="minisblack")
    found = _notes(film)
    assert len(found) == int(kind == "linear")
    assert all("--drift auto estimates the drift" in note for note in found)
    assert _notes(film, "--drift", "auto", "--overwrite") == []
