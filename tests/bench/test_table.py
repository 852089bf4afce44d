"""``recon-bench table``: the whole table on ten small frames, with short settings."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

import keras

from fakes.processes import finished
from fakes.table_command import table, words, write_compared_film
from smlm_bench import catalogue
from smlm_bench.baselines.cel0.method import Cel0, Cel0Settings
from smlm_bench.baselines.cel0.solver import Iterations
from smlm_bench.baselines.falcon.deconvolution import FalconSettings
from smlm_bench.baselines.falcon.method import Falcon
from smlm_bench.baselines.single_emitter import SingleEmitter, Widefield
from smlm_bench.choice import default_methods
from smlm_bench.method import (
    CLASSICAL_NAMES,
    PICASSO,
    RUNTIMES,
    BlockResult,
    FilmFacts,
    Method,
)
from smlm_pipeline.compute.processor import has_bf16
from smlm_training.networks.fine_map import density, emitters_per_sr_pixel, enlarge_frames
from smlm_training.networks.frames import read_input
from smlm_training.networks.unet import detections
from smlm_training.simulation.film_files import POSITIONS

pytestmark = pytest.mark.training

SHORT_FALCON = FalconSettings(3, 3, 30, 10, 3, 20, 5, 10)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compared_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of a few weights where finished runs would lie."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("deep-storm", "unet-interpolated", "unet-fast"):
        keras.utils.set_random_seed(3)
        frames = read_input()
        features = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(frames)
        answer = (
            detections(features)
            if name == "unet-fast"
            else emitters_per_sr_pixel(density(enlarge_frames(features), 1))
        )
        (folder / name).mkdir()
        keras.Model(frames, answer, name=name).save(folder / name / "network.keras")
    return folder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Cel0Settings(iterations=Iterations(outer=2, inner=5))
    monkeypatch.setitem(catalogue.CLASSICAL, "cel0", lambda facts: Cel0(facts, few))
    monkeypatch.setitem(catalogue.CLASSICAL, "falcon", lambda facts: Falcon(facts, SHORT_FALCON))


def _networks(runs: Path) -> list[str]:
    return [f"--network={each.name}={each}" for each in runs.iterdir()]


@pytest.mark.triton
@pytest.mark.usefixtures("short")
def test_the_whole_table(film: Path, runs: Path, tmp_path: Path) -> None:
    names = [name for name in default_methods() if not name.endswith("@server")]
    names.remove("picasso")  # which is not installed here; see test_picasso.py
    names.remove("unet-fast+refine@triton")  # which is of the model repository, never of a run
    words = ["-o", tmp_path, "--repeats", "2", "--methods", ",".join(names), *_networks(runs)]
    done = table(film, *words)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "table.json").read_text())
    rows = {row["method"]: row for row in told["rows"]}
    assert list(rows) == names
    assert rows["blank"]["image"]["nmse_percent"] == [100, 100, 100]
    assert all(len(row["seed_psnr_db"]) == 3 for row in rows.values())
    assert all(row["passes"] == 2 for row in rows.values())
    assert rows["deep-storm@keras"]["times_peer"] == 1
    assert rows["cel0"]["published"]["ms_per_frame"] == 51736.8
    localising = {name for name, row in rows.items() if row["rmse_nm"] is not None}
    assert {"single-emitter", "cel0", "falcon", "unet@keras", "unet@onnx"} <= localising
    for network in ("unet", "unet-fast", "unet-interpolated"):
        errors = [
            rows[f"{network}@{each}"]["image"]["nmse_percent"]
            for each in RUNTIMES
            if f"{network}@{each}" in rows
        ]
        np.testing.assert_allclose(errors, [errors[0]] * len(errors), rtol=0.02)
    both = [rows[name]["image"] for name in ("unet@triton", "unet+refine@triton")]
    plain, refined = (image["nmse_percent"] for image in both)
    # So few molecules are not refined; but the client has looked at them before.
    assert refined == pytest.approx(plain, rel=0.02)
    with (tmp_path / "table.csv").open() as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == list(rows)
    markdown = (tmp_path / "table.md").read_text()
    assert "other hardware (NVIDIA RTX 3090" in markdown
    assert str(tmp_path) not in markdown
    assert "The classical methods know: 100 nm a camera pixel" in markdown
    assert ", 1.1 px sigma (told), 1500 photons a molecule (told), " in markdown
    # bfloat16 has errors of its own
    exact = "@keras, @onnx" if has_bf16() else "@keras, @onnx, @triton"
    assert f"| unet{exact} | " in markdown
    assert "unet+refine@triton: the plain sum, not refined: few molecules; it took " in markdown
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_done_is_not_done_again(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["-o", tmp_path, "--methods", "blank,widefield,single-emitter", "--repeats", "1"]
    first = table(film, *words)
    assert first.exit_code == 0, first.output
    before = (tmp_path / "table.csv").read_text()

    def refuse(facts: FilmFacts) -> Method:
        method = Widefield(facts)
        monkeypatch.setattr(method, "reconstruct", lambda _frames: pytest.fail("done again"))
        return method

    monkeypatch.setitem(catalogue.CLASSICAL, "widefield", refuse)
    assert table(film, *words).exit_code == 0
    assert (tmp_path / "table.csv").read_text() == before


def test_an_interrupted_pass_goes_on(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One frame a block, stopped at the fifth; the result is that of an unbroken pass."""
    monkeypatch.setattr("smlm_bench.table.passes._SAVED_EVERY_S", -1.0)
    calls: list[int] = []
    stop_at = [4]

    def single(facts: FilmFacts) -> Method:
        method = SingleEmitter(facts)
        method.block_frames = 1
        whole = method.reconstruct

        def reconstruct(frames: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> BlockResult:
            if len(calls) == stop_at[0]:
                raise KeyboardInterrupt
            calls.append(1)
            return whole(frames)

        monkeypatch.setattr(method, "reconstruct", reconstruct)
        return method

    monkeypatch.setitem(catalogue.CLASSICAL, "single-emitter", single)
    words = ["--methods", "single-emitter", "--repeats", "1"]
    broken = table(film, *words, "-o", tmp_path / "broken")
    assert broken.exit_code == 130
    assert broken.stderr.endswith("recon-bench: interrupted; the same command continues it\n")
    stop_at[0] = 10**6
    assert table(film, *words, "-o", tmp_path / "broken").exit_code == 0
    assert len(calls) == 10
    assert table(film, *words, "-o", tmp_path / "whole").exit_code == 0
    files = [list((tmp_path / each / "methods").iterdir()) for each in ("broken", "whole")]
    assert [file.name.startswith("single-emitter-") for (file,) in files] == [True, True]
    images = [np.load(file) for (file,) in files]
    for name in ("image", "frame", "y_nm", "x_nm"):
        np.testing.assert_array_equal(images[0][name], images[1][name])


def test_part_of_a_film_with_positions_of_a_spreadsheet(film: Path, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    with (film / POSITIONS).open() as stream:
        rows = [[row["x [nm]"], row["y [nm]"], row["frame"]] for row in csv.DictReader(stream)]
    sheet = book.active
    sheet.append(["xnano", "ynano", "Frame"])
    for row in rows:
        sheet.append([float(value) for value in row])
    book.save(tmp_path / "positions.xlsx")
    done = table(
        film,
        *("--methods", "blank,widefield", "--frames", "3:7", "-o", tmp_path / "out"),
        *("--positions", tmp_path / "positions.xlsx"),
    )
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "table.json").read_text())
    assert told["frames"] == [3, 7]
    assert told["molecules"] == sum(4 <= int(frame) <= 7 for _, _, frame in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "sorcery"], "no method is called 'sorcery'; expected one of blank"),
        (["--methods", "unet@server"], "unet@server needs a server; name one with --server"),
        (["--methods", "fid-storm@keras"], "Train it with: recon-train fit runs/fid-storm"),
        (["--methods", "unet+refine@onnx"], "the client alone refines; expected unet+refine@ with"),
        (["--methods", "unet-map+refine@local"], "maps, as unet-map answers with, are not refined"),
        (["--methods", "deep-storm@local"], "no ensemble of the contract serves deep-storm"),
        (["--methods", "blank", "--frames", "3-7"], "frames is '3-7'; expected A:B"),
        (["--methods", "blank", "--frames", "30:"], "has frames 0 to 9: choose --frames"),
        (["--methods", "unet@onnx", "--network", "unet"], "expected NAME=PATH"),
        (["--methods", "unet@onnx", "--network", "unet=x.onnx"], "no network at x.onnx"),
        (["--methods", "blank", "--camera", "ccd"], "camera is 'ccd'; expected one of emccd"),
    ],
)
def test_refusals(
    words: list[str], message: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = table(film, *words)
    assert done.exit_code in (2, 3)
    assert message in done.stderr
    assert done.stderr.startswith("recon-bench: ")


def test_a_table_of_something_else_is_refused(film: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    done = table(film, "--positions", wrong, "--methods", "blank")
    assert done.exit_code == 3
    assert "no column 'frame' among a, b" in done.stderr


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, smlm_bench.cli; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    heavy = {
        "keras",
        "matplotlib",
        "onnxruntime",
        "pywt",
        "numba",
        "scipy",
        "tensorflow",
        "tritonclient",
    }
    assert set(done.stdout.split()).isdisjoint(heavy)
    assert {*catalogue.CLASSICAL, PICASSO} == {*CLASSICAL_NAMES}


def test_a_missing_package_is_named(film: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pywt'] = None; from smlm_bench.cli import app; app()"
    command = [sys.executable, "-c", code, *words(film, "--methods", "blank", "-o", tmp_path)]
    done = finished(command)
    assert done.returncode == 2
    assert done.stderr == "recon-bench: pywt is not installed; pip install 'smlm-recon[bench]'\n"


@pytest.mark.parametrize("frames", ["2:3", "2:4", "2:5"])
def test_what_chance_scores_is_that_of_other_frames(
    film: Path, tmp_path: Path, frames: str
) -> None:
    words = ["-o", tmp_path, "--methods", "blank", "--repeats", "1", "--frames", frames]
    assert table(film, *words).exit_code == 0
    chance = json.loads((tmp_path / "table.json").read_text())["chance_jaccard"]
    markdown = (tmp_path / "table.md").read_text()
    if frames == "2:3":
        assert chance == []
        assert "By chance" not in markdown
    else:
        assert 0 < chance[1] < chance[0] < 0.8
        assert f"the index is {100 * chance[0]:.1f} / {100 * chance[1]:.1f} %" in markdown
