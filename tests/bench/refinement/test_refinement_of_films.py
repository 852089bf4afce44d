"""``recon-bench refinement``: its films, its scores, what it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from smlm_bench.cli import app
from smlm_bench.refinement import films, refined_beads
from smlm_bench.refinement.films import TrueFilm, hard_films, named_film, suite_films
from smlm_bench.refinement.measure import Outcome, images, outcome
from smlm_bench.structures.films import film_lines
from smlm_pipeline.contract import RECONSTRUCTION
from smlm_pipeline.engines.opening import Engine, local_engine

MODEL = RECONSTRUCTION.name


@pytest.fixture(scope="module")
def engine(model_repository: Path) -> Iterator[Engine]:
    with local_engine(model_repository, MODEL) as opened:
        yield opened


def test_hard_films_are_what_they_are_called() -> None:
    by_name = {film.name: film for film in hard_films()}
    base = named_film("short waves in focus")
    short = by_name["8 frames of short waves in focus"]
    assert len(short.frames_adu) == 8
    assert 0 < short.truth.sum() < base.truth.sum() / 10
    saturated = by_name["saturated"].frames_adu
    clipped = saturated == saturated.max()
    assert 0.005 < clipped.mean() < 0.03
    np.testing.assert_array_equal(saturated[~clipped], base.frames_adu[~clipped])
    bead = by_name["one bead"]
    assert np.count_nonzero(bead.truth) == 1
    assert bead.truth.sum() == len(bead.frames_adu)
    assert not by_name["empty"].truth.any()
    sparse = by_name["a thirtieth of the molecules of short waves in focus"]
    assert 20 < base.truth.sum() / sparse.truth.sum() < 45


def test_the_films_of_the_suite_come_with_their_truth() -> None:
    film = next(suite_films("report"))
    assert film.truth.shape == tuple(8 * edge for edge in film.frames_adu.shape[1:])
    assert film.truth.sum() > 1000


def test_the_worst_change_is_that_of_any_blur() -> None:
    one = Outcome("film", 10.0, 1.0, {}, (50.0, 10.0, 2.0), (40.0, 10.5, 1.0))
    assert one.worse_percent == pytest.approx(5)
    assert replace(one, refined_nmse_percent=(40.0, 9.0, 1.0)).worse_percent == pytest.approx(-10)
    assert replace(one, plain_nmse_percent=None).worse_percent == 0


def _dense() -> TrueFilm:
    return named_film("dots that persist")


def test_a_film_is_refined_and_scored(engine: Engine) -> None:
    film = _dense()
    found = outcome(film, engine, MODEL)
    assert found.kept == pytest.approx(1, abs=1e-5)
    assert found.refinement["steps"] >= 2
    assert found.refined_nmse_percent is not None
    assert found.worse_percent < 0
    both = images(film.frames_adu, engine, MODEL, 1)
    assert both.refinement["stopped_by"] == "as asked"
    assert found.emitters == pytest.approx(float(both.plain.sum(dtype=np.float64)))


def test_the_command_writes_a_row_for_each_film(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = named_film("empty")
    few = [replace(empty, frames_adu=empty.frames_adu[:12]), _short()]
    monkeypatch.setattr(films, "suite_films", lambda _half: iter(few))
    monkeypatch.setattr(films, "hard_films", lambda: iter(()))
    result = CliRunner().invoke(app, ["refinement", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads((tmp_path / f"{MODEL}.json").read_text())
    assert [row["film"] for row in rows] == ["empty", "8 frames of short waves in focus"]
    assert rows[0]["plain_nmse_percent"] is None
    assert rows[1]["plain_nmse_percent"] == rows[1]["refined_nmse_percent"]
    table = (tmp_path / f"{MODEL}.md").read_text()
    assert "| empty | 0 | 0 | 0 | few molecules | - | - | +0.0 |" in table


def test_beads_are_measured_where_lines_are_straight_and_molecules_shine_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = {line.name: line for line in film_lines()}
    names = ("straight lines", "dots", "stiff worms that persist")
    short = [replace(lines[name], frames=40) for name in names]
    monkeypatch.setattr(refined_beads, "film_lines", lambda _half: short)
    result = CliRunner().invoke(app, ["refinement", "--beads", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads((tmp_path / f"{MODEL}-beads.json").read_text())
    assert row["film"] == "straight lines"
    assert 0 <= row["plain_percent"] < 20
    assert 0 <= row["refined_percent"] < 20
    table = (tmp_path / f"{MODEL}-beads.md").read_text()
    assert "| straight lines | 6 |" in table


def _short() -> TrueFilm:
    return next(film for film in hard_films() if len(film.frames_adu) == 8)
