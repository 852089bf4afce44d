"""What ``recon-bench table`` keeps: what is used again, what is made anew, what stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from fakes.table_command import table, write_compared_film
from smlm_bench import catalogue
from smlm_bench.baselines.single_emitter import SingleEmitter
from smlm_bench.method import BlockResult, FilmFacts, Method
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.training

SINGLE = ("--methods", "single-emitter")
MACHINE = "smlm_bench.table.passes.machine"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compared_film(tmp_path_factory.mktemp("film"))


@pytest.fixture
def frames_done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames single-emitter fitting was given, block by block; it takes one at a time."""
    done: list[int] = []

    def counted(facts: FilmFacts) -> Method:
        method = SingleEmitter(facts)
        method.block_frames = 1
        monkeypatch.setattr(method, "reconstruct", _counting(method.reconstruct, done))
        return method

    monkeypatch.setitem(catalogue.CLASSICAL, "single-emitter", counted)
    return done


def _counting(
    whole: Callable[[NDArray[np.uint16]], BlockResult], done: list[int]
) -> Callable[[NDArray[np.uint16]], BlockResult]:
    def reconstruct(frames_adu: NDArray[np.uint16]) -> BlockResult:
        done.append(len(frames_adu))
        return whole(frames_adu)

    return reconstruct


def _told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "table.json").read_text())
    return told


def test_more_passes_are_made_when_more_are_asked_for(
    film: Path, tmp_path: Path, frames_done: list[int]
) -> None:
    for repeats, passes, frames in [(1, 1, 10), (3, 3, 30), (2, 3, 30), (3, 3, 30)]:
        assert table(film, *SINGLE, "-o", tmp_path, "--repeats", repeats).exit_code == 0
        assert _told(tmp_path)["rows"][0]["passes"] == passes
        assert len(frames_done) == frames
    sitting = _told(tmp_path)["sittings"]["single-emitter"]
    assert (sitting["kept_passes"], sitting["image_kept"]) == (3, True)
    assert len(sitting["dates"]) == 3


def test_no_more_passes_than_the_limit_allows(
    film: Path, tmp_path: Path, frames_done: list[int]
) -> None:
    words = [*SINGLE, "-o", tmp_path, "--repeat-limit-s", "0"]
    assert table(film, *words, "--repeats", "1").exit_code == 0
    assert table(film, *words, "--repeats", "7").exit_code == 0
    assert len(frames_done) == 10


def test_other_frames_leave_what_is_kept(
    film: Path, tmp_path: Path, frames_done: list[int]
) -> None:
    words = [*SINGLE, "-o", tmp_path, "--repeats", "1", "--overwrite"]
    for frames in ("0:10", "0:3", "0:10", "0:3"):
        assert table(film, *words, "--frames", frames).exit_code == 0
    assert len(frames_done) == 13
    assert len(list((tmp_path / "methods").iterdir())) == 2


def test_times_of_another_machine_are_made_anew_and_the_image_is_kept(
    film: Path, tmp_path: Path, frames_done: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SINGLE, "-o", tmp_path, "--repeats", "2"]
    monkeypatch.setattr(MACHINE, lambda: "an abacus")
    assert table(film, *words).exit_code == 0
    before = _told(tmp_path)
    assert before["sittings"]["single-emitter"]["machine"] == "an abacus"
    monkeypatch.setattr(MACHINE, lambda: "a slide rule")
    assert table(film, *words).exit_code == 0
    after = _told(tmp_path)
    sitting = after["sittings"]["single-emitter"]
    assert (sitting["machine"], sitting["image_kept"]) == ("a slide rule", True)
    assert sitting["kept_passes"] == 0
    assert len(frames_done) == 40
    assert after["rows"][0]["image"] == before["rows"][0]["image"]
    assert after["rows"][0]["passes"] == 2


def test_times_beyond_the_limit_stay_and_are_marked(
    film: Path, tmp_path: Path, frames_done: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SINGLE, "-o", tmp_path, "--repeat-limit-s", "0"]
    for machine in ("an abacus", "a slide rule"):
        monkeypatch.setattr(MACHINE, lambda told=machine: told)
        done = table(film, *words)
        assert done.exit_code == 0
    assert (
        "single-emitter keeps its times of an abacus: a pass takes longer than 0 s" in done.stderr
    )
    sitting = _told(tmp_path)["sittings"]["single-emitter"]
    assert (sitting["machine"], sitting["kept_passes"]) == ("an abacus", 1)
    assert len(frames_done) == 10


@pytest.mark.parametrize("damaged", [lambda _: b"", lambda _: b"no zip", lambda all_: all_[:-400]])
def test_a_damaged_result_is_made_anew(
    damaged: Callable[[bytes], bytes], film: Path, tmp_path: Path, frames_done: list[int]
) -> None:
    words = [*SINGLE, "-o", tmp_path, "--repeats", "1"]
    assert table(film, *words).exit_code == 0
    (file,) = (tmp_path / "methods").iterdir()
    file.write_bytes(damaged(file.read_bytes()))
    done = table(film, *words)
    assert done.exit_code == 0, done.output
    assert f"{file.name} is damaged and is made again" in done.stderr
    assert len(frames_done) == 20
    assert table(film, *words).exit_code == 0
    assert len(frames_done) == 20


@pytest.mark.triton
def test_what_a_server_elsewhere_answers_is_never_kept(
    film: Path, tmp_path: Path, triton: EmbeddedServer
) -> None:
    words = ["--methods", "unet@server", "--repeats", "1", "-o", tmp_path]
    done = table(film, *words, "--server", triton.address)
    assert done.exit_code == 0, done.output
    told = _told(tmp_path)
    assert told["rows"][0]["parameters"]["server"].startswith("Triton 2.")
    assert triton.address not in json.dumps(told)
    assert not (tmp_path / "methods").exists()
    gone = table(film, *words, "--server", "127.0.0.1:1")
    assert gone.exit_code == 4
    assert "no Triton server answers at 127.0.0.1:1" in gone.stderr


def test_a_table_of_other_methods_is_not_replaced_unasked(film: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path, "--repeats", "1"]
    assert table(film, *words, "--methods", "blank,widefield").exit_code == 0
    before = (tmp_path / "table.json").read_text()
    refused = table(film, *words, "--methods", "blank")
    assert refused.exit_code == 7
    assert "by blank, widefield: the new one would lack widefield; take another" in refused.stderr
    assert (tmp_path / "table.json").read_text() == before
    assert table(film, *words, "--methods", "single-emitter,widefield,blank").exit_code == 0
    assert table(film, *words, "--methods", "blank", "--overwrite").exit_code == 0
    assert [row["method"] for row in _told(tmp_path)["rows"]] == ["blank"]


def test_a_table_of_another_film_is_not_replaced_unasked(film: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path / "out", "--methods", "blank", "--repeats", "1"]
    assert table(film, *words).exit_code == 0
    frames = table(film, *words, "--frames", "2:")
    assert frames.exit_code == 7
    assert "a table of stack.tif, frames 0 to 9, by blank: other frames than" in frames.stderr
    another = table(write_compared_film(tmp_path / "another", seed=5), *words)
    assert another.exit_code == 7
    assert "by blank: another film than this one" in another.stderr
    (tmp_path / "out" / "table.json").write_text("[]")
    assert "is something else: it is no table of" in table(film, *words).stderr
    assert table(film, *words, "--overwrite").exit_code == 0


def test_a_table_made_with_other_facts_is_not_replaced_unasked(film: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path, "--methods", "blank", "--repeats", "1"]
    assert table(film, *words).exit_code == 0
    refused = table(film, *words, "--sigma-px", "1.3")
    assert refused.exit_code == 7
    assert "made with other facts of optics and camera than these" in refused.stderr


def test_a_table_keeps_its_place_until_the_new_one_has_as_many_rows(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["-o", tmp_path, "--methods", "blank,widefield,single-emitter", "--repeats", "1"]
    assert table(film, *words).exit_code == 0
    before = (tmp_path / "table.json").read_text()

    def stopped(_facts: FilmFacts) -> Method:
        raise KeyboardInterrupt

    monkeypatch.setitem(catalogue.CLASSICAL, "single-emitter", stopped)
    assert table(film, *words).exit_code == 130
    assert (tmp_path / "table.json").read_text() == before
