"""``recon-bench structures`` writes its table, and continues where it was interrupted."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("onnxruntime")

from smlm_bench.cli import app
from smlm_bench.structures import film_files, films, suite
from smlm_bench.structures.films import film_lines
from smlm_bench.structures.network import open_engine
from smlm_bench.structures.reconstruction import CHUNK_FRAMES, reconstruct
from smlm_bench.structures.scores import score_film
from smlm_pipeline.film.film import open_film
from smlm_pipeline.localise.table_files import read_molecules
from smlm_pipeline.model_repository import find_model_repository, network_file

SHORT = {
    line.name: replace(line, frames=2 * CHUNK_FRAMES)
    for line in film_lines()
    if line.name in ("mesh", "stiff worms that persist")
}


@pytest.fixture
def short_films(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "film_lines", lambda _half: list(SHORT.values()))


def watched_films(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the films that are made from now on."""
    made: list[str] = []

    def make_film(line: films.FilmLine) -> films.SuiteFilm:
        made.append(line.name)
        return films.make_film(line)

    monkeypatch.setattr(suite, "make_film", make_film)
    return made


def run(folder: Path, *arguments: str) -> str:
    options = ["structures", "--network", "unet_fast", "-o", str(folder), *arguments]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("short_films")
def test_the_worst_film_is_on_top_of_table_json_and_strip(tmp_path: Path) -> None:
    run(tmp_path)
    table = json.loads((tmp_path / "structures.json").read_text())
    assert table["network"] == "unet_fast"
    assert table["half"] == "choose"
    rows = table["films"]
    assert {row["name"] for row in rows} == set(SHORT)
    assert rows[0]["excess"] > rows[1]["excess"]
    assert table["summary"]["times ideal"]["worst"] == rows[0]["excess"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["mesh"]["sum_ratio"] == pytest.approx(1, abs=0.15)
    assert by_name["mesh"]["image"]["modulation_percent"] is not None
    assert by_name["stiff worms that persist"]["image"]["modulation_percent"] is None
    lines = (tmp_path / "structures.md").read_text().splitlines()
    tops = [line for line in lines if line.startswith(f"| {rows[0]['name']} |")]
    assert f"{rows[0]['excess']:.1f}" in tops[0]
    assert lines.index(tops[0]) < lines.index(
        next(line for line in lines if line.startswith(f"| {rows[1]['name']} |"))
    )
    picture = np.asarray(Image.open(tmp_path / "structures.png").convert("L"))
    assert picture.max() > 200
    assert picture.shape[1] > 1000


@pytest.mark.usefixtures("short_films")
def test_films_that_are_done_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    first = json.loads((tmp_path / "structures.json").read_text())
    (tmp_path / "films" / "mesh.npz").unlink()
    made = watched_films(monkeypatch)
    run(tmp_path)
    assert made == ["mesh"]
    assert json.loads((tmp_path / "structures.json").read_text()) == first


@pytest.mark.usefixtures("short_films")
def test_another_network_or_line_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    made = watched_films(monkeypatch)
    monkeypatch.setitem(SHORT, "mesh", replace(SHORT["mesh"], seed=7))
    run(tmp_path)
    assert made == ["mesh"]
    made.clear()
    other = tmp_path / "other.onnx"
    model = onnx.load(network_file(find_model_repository(), "unet_fast"))
    model.doc_string = "another"
    onnx.save(model, other)
    run(tmp_path, "--network", str(other))
    assert sorted(made) == sorted(SHORT)


def test_a_map_network_has_an_image_and_no_molecules() -> None:
    engine, _ = open_engine("unet-map", Path(os.devnull))
    film = films.make_film(SHORT["mesh"])
    scores = score_film(film, reconstruct(film.frames_adu, engine))
    assert scores.molecules is None
    assert 0 < scores.image.nmse_percent[1] < 100


def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    runner = CliRunner()
    missing = runner.invoke(app, ["structures", "--network", "no-such", "-o", str(tmp_path)])
    assert missing.exit_code == 2
    assert "no trained no-such" in missing.output
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"none")
    damaged = runner.invoke(app, ["structures", "--network", str(broken), "-o", str(tmp_path)])
    assert damaged.exit_code == 5
    assert "broken.onnx is damaged or no network" in damaged.output


def test_a_film_is_written_for_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_files, "film_lines", lambda: list(SHORT.values()))
    written = run(tmp_path, "--write", "mesh")
    made = films.make_film(SHORT["mesh"])
    with open_film(tmp_path / "stack.tif") as film:
        assert film.pixel_size().nm == pytest.approx(100)
        np.testing.assert_array_equal(film.read(0, film.frame_count), made.frames_adu)
    positions, true = read_molecules(tmp_path / "positions.csv"), made.emitters.molecules()
    np.testing.assert_array_equal(positions.frame, true.frame)
    np.testing.assert_allclose([positions.y_nm, positions.x_nm], [true.y_nm, true.x_nm], atol=1e-4)
    assert json.loads((tmp_path / "film.json").read_text())["seed"] == SHORT["mesh"].seed
    command = shlex.split(written.splitlines()[-1])
    assert command[:2] == ["recon-bench", "table"]
    options = [*command[1:-1], str(tmp_path / "table"), "--methods", "blank,widefield"]
    compared = CliRunner().invoke(app, options)
    assert compared.exit_code == 0, compared.output
    table = json.loads((tmp_path / "table" / "table.json").read_text())
    assert table["molecules"] == len(true.frame)
    assert table["facts"]["adu_per_photon"] == 9


def test_a_film_that_the_suite_lacks_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["structures", "--write", "cats", "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "no film is called 'cats'; expected one of straight lines, " in done.output
    assert not (tmp_path / "out").exists()
