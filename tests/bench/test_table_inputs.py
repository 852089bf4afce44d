"""What ``recon-bench table`` refuses or says of films, positions and networks, before it begins."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from fakes.networks import MAP, write_network
from fakes.table_command import table, words, write_compared_film
from smlm_bench.method import CLASSICAL_NAMES, RUNTIMES
from smlm_bench.networks import places
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.networks import NETWORKS
from smlm_training.simulation.film_files import POSITIONS

pytestmark = pytest.mark.training

BLANK = ("--methods", "blank", "--repeats", "1")
FAST = network_file(find_model_repository(), "unet_fast")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compared_film(tmp_path_factory.mktemp("film"))


def _rewritten(film: Path, file: Path, change: Callable[[dict[str, str]], object]) -> Path:
    """The film's positions with each row changed."""
    with (film / POSITIONS).open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        change(row)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def _told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "table.json").read_text())
    return told


def test_positions_of_another_film_are_refused(film: Path, tmp_path: Path) -> None:
    another = write_compared_film(tmp_path / "another", seed=5)
    done = table(film, *BLANK, "-o", tmp_path / "out", "--positions", another / POSITIONS)
    assert done.exit_code == 3
    assert "the table does not fit the film" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(frame=str(int(row["frame"]) - 1)),
        lambda row: row.update({"x [nm]": float(row["x [nm]"]) / 100}),
    ],
    ids=["frames from 0", "x in pixels"],
)
def test_positions_in_another_convention_are_refused(
    change: Callable[[dict[str, str]], object], film: Path, tmp_path: Path
) -> None:
    wrong = _rewritten(film, tmp_path / "wrong.csv", change)
    done = table(film, *BLANK, "-o", tmp_path / "out", "--positions", wrong)
    assert done.exit_code == 3
    assert f"{wrong}: the table does not fit the film" in done.stderr
    assert "frames from 1, and pixels of 100 nm" in done.stderr


def test_molecules_that_are_left_out_are_counted(film: Path, tmp_path: Path) -> None:
    off: list[int] = []

    def change(row: dict[str, str]) -> None:
        if row["frame"] == "4" and len(off) < 3:
            off.append(1)
            row["x [nm]"] = "-5"

    positions = _rewritten(film, tmp_path / "some.csv", change)
    done = table(film, *BLANK, "-o", tmp_path, "--positions", positions, "--frames", "2:6")
    assert done.exit_code == 0, done.output
    told = _told(tmp_path)
    assert told["molecules_outside"]["of_field"] == 3
    others = told["molecules_outside"]["of_frames"]
    assert f"{others:,} molecules in other frames, 3 outside of the field" in done.stderr
    assert others + 3 + told["molecules"] == len(positions.read_text().splitlines()) - 1


def test_all_facts_that_are_missing_are_named_at_once(film: Path, tmp_path: Path) -> None:
    done = table(film, *BLANK, "-o", tmp_path, "--frames", "3:5", known=("--offset-adu", "100"))
    assert done.exit_code == 2
    assert "10 frames of 24 x 28 pixels are too few; expected at least 16" in done.stderr
    assert "--sigma-px, --molecule-photons, --gain-adu-per-photon\n" in done.stderr
    assert "Warning" not in done.stderr


def test_facts_are_those_of_the_whole_film(tmp_path: Path) -> None:
    """Two frames alone tell nothing; warnings are errors in these tests."""
    film = write_compared_film(tmp_path / "film", frames=150)
    known = ("--gain-adu-per-photon", "2", "--offset-adu", "100")
    for frames in ("3:5", ":"):
        done = table(film, *BLANK, "-o", tmp_path / frames, "--frames", frames, known=known)
        assert done.exit_code == 0, done.output
    part, whole = _told(tmp_path / "3:5"), _told(tmp_path / ":")
    for name in ("sigma_px", "molecule_photons", "adu_per_photon", "offset_adu"):
        assert part["facts"][name] == whole["facts"][name]
    assert part["facts_from"] == {
        "sigma_px": "estimated",
        "molecule_photons": "estimated",
        "adu_per_photon": "told",
        "offset_adu": "told",
        "pixel_size_nm": part["facts_from"]["pixel_size_nm"],
        "excess_noise": "camera emccd",
        "levels_adu": "estimated",
    }


@pytest.mark.parametrize(
    ("method", "network", "message"),
    [
        ("unet@onnx", "unet={film}/positions.csv", "is no network that ONNX Runtime can open"),
        ("unet@keras", f"unet={FAST}", "model.onnx is unet-fast, expected unet"),
        ("unet@onnx", f"unet={FAST}", "model.onnx is unet-fast, expected unet"),
        ("unet@onnx", "unet={map}", "answers with 1 channels, unet with detections of 7"),
        ("unet@keras", "unet={broken}", "cannot be loaded as unet"),
        ("blank", "unets=x", "no network is called unets; expected one of unet,"),
    ],
)
def test_networks_are_opened_before_methods_run(
    method: str, network: str, message: str, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "network.keras").write_text("broken")
    given = network.format(
        film=film, map=write_network(tmp_path / "map", MAP), broken=tmp_path / "broken"
    )
    done = table(film, "--methods", f"blank,{method}", "--network", given, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_not_used_is_said(film: Path, tmp_path: Path) -> None:
    given = ["--network", f"unet-fast={FAST}", "--server", "localhost:1"]
    done = table(film, *BLANK, *given, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert "--network unet-fast=... is not used" in done.stderr
    assert "--server localhost:1 is not used" in done.stderr


def test_a_server_that_does_not_answer_is_found_out_first(film: Path, tmp_path: Path) -> None:
    server = ["--methods", "blank,unet@server", "--server", "127.0.0.1:1"]
    done = table(film, *server, "-o", tmp_path / "out")
    assert done.exit_code == 4
    assert "no Triton server answers at 127.0.0.1:1" in done.stderr
    assert not (tmp_path / "out").exists()


def test_networks_that_are_not_there_are_left_out(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "TRAINED_FOLDER", tmp_path / "none")
    names = ["blank", "deep-storm@keras", "unet@onnx", "unet@server"]
    monkeypatch.setattr("smlm_bench.choice.default_methods", lambda: names)
    done = table(film, "--repeats", "1", "-o", "out")
    assert done.exit_code == 0, done.output
    told = _told(tmp_path / "out")
    assert [row["method"] for row in told["rows"]] == ["blank", "unet@onnx"]
    assert list(told["left_out"]) == ["deep-storm@keras", "unet@server"]
    lines = [line for line in done.stderr.splitlines() if "left out" in line]
    assert "deep-storm@keras; no trained deep-storm: expected" in lines[0]
    assert "Train it with: recon-train fit runs/deep-storm" in lines[0]
    assert lines[1].endswith("unet@server; needs a server; name one with --server HOST:PORT")


def test_a_network_that_was_named_is_never_left_out(film: Path, tmp_path: Path) -> None:
    done = table(film, "--network", f"deep-storm={tmp_path}", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"recon-bench: no network at {tmp_path}; expected an ONNX file")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--frames", "20:30"],
            "20:30 names no frame; stack.tif has frames 0 to 9: choose",
        ),
        (["--positions", "none.csv"], "there is no file none.csv; expected a CSV or XLSX"),
        (["--positions", "."], "; expected a CSV or XLSX file whose first row"),
        (["-o", "file"], "file is a file; expected a folder"),
        (["-o", "file/below"], "file is a file; expected a folder"),
    ],
)
def test_messages_say_what_is_wrong(
    given: list[str], message: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    done = table(film, *BLANK, *given)
    assert done.exit_code in (2, 3, 7)
    assert message in done.stderr
    assert "Errno" not in done.stderr
    assert done.stderr.count("\n") == 1


def _process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name[:7] != "TF_CPP_"}
    code = "import sys; from smlm_bench.cli import app; app(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("methods", ["sorcery", "sorcery@keras"])
def test_tensorflow_says_nothing_before_a_message(methods: str, film: Path) -> None:
    done = _process(*words(film, "--methods", methods))
    assert done.returncode == 2
    assert done.stderr.startswith("recon-bench: no ")
    assert done.stderr.count("\n") == 1


def test_a_classical_table_loads_no_tensorflow(film: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from smlm_bench.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, *words(film, *BLANK, "-o", tmp_path)],
        check=True,
        capture_output=True,
        timeout=120,
    )


def test_help_is_whole_on_a_narrow_terminal() -> None:
    told = _process("table", "--help", COLUMNS="80").stdout
    assert "…" not in told
    assert all(name in told for name in (*CLASSICAL_NAMES, *NETWORKS, *RUNTIMES, "Zarr"))


def test_a_film_that_lacks_frames(tmp_path: Path) -> None:
    """Refused, unless the chosen frames are there."""
    film = write_compared_film(tmp_path / "film")
    stack = film / "stack.tif"
    stack.write_bytes(stack.read_bytes()[: stack.stat().st_size * 2 // 3])
    for frames, message in ((":", "lacks frame"), ("0:10", "; expected all frames of 0:10")):
        refused = table(film, *BLANK, "-o", tmp_path / "out", "--frames", frames)
        assert refused.exit_code == 3, refused.stderr
        assert message in refused.stderr
    done = table(film, *BLANK, "-o", tmp_path / "out", "--frames", "0:4:2")
    assert done.exit_code == 0, done.stderr
    assert "the chosen frames" in done.stderr or "lacks frame" in done.stderr
    told = json.loads((tmp_path / "out" / "table.json").read_text())
    assert told["frames"] == [0, 4, 2]
