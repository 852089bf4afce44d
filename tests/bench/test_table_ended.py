"""However ``recon-bench table`` is ended, no server or file stays, and what is done is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from fakes.processes import PATIENCE_S, alive, children, started, wait_for
from fakes.table_command import table, words, write_compared_film
from smlm_bench import catalogue
from smlm_bench.baselines.single_emitter import Widefield
from smlm_bench.machine import machine
from smlm_bench.method import BlockResult, FilmFacts, Method

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compared_film(tmp_path_factory.mktemp("film"))


@pytest.mark.triton
@pytest.mark.parametrize(
    ("number", "exit_code", "message"),
    [
        (signal.SIGTERM, 143, "recon-bench: ended; the same command continues it\n"),
        (signal.SIGINT, 130, "recon-bench: interrupted; the same command continues it\n"),
    ],
)
def test_no_server_and_no_folder_stays(
    number: signal.Signals, exit_code: int, message: str, film: Path, tmp_path: Path
) -> None:
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    long = ["--methods", "unet@triton", "--repeats", "1000000", "--repeat-limit-s", "120"]
    command = [sys.executable, "-m", "smlm_bench", *words(film, *long, "-o", output)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with started(command, stderr=subprocess.PIPE, env=environment) as bench:
        wait_for(lambda: any((output / "methods").glob("unet@triton-*.npz")), "the first pass")
        servers = [pid for child in children(bench.pid) for pid in (child, *children(child))]
        assert any(scratch.glob("smlm_recon_*"))
        bench.send_signal(number)
        _, complaint = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == exit_code
    assert complaint.endswith(message)
    assert "Traceback" not in complaint
    assert servers
    wait_for(lambda: not any(map(alive, servers)), "the server's processes to end")
    assert {path.name for path in scratch.iterdir()} <= {".ses"}  # ONNX Runtime's own, anywhere
    assert not list((output / "methods").glob(".*"))


def test_blocks_that_are_done_are_kept_at_an_interruption(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the first seconds, before the state is saved for the first time."""
    given: list[int] = []
    stop_at = [3]

    def frame_by_frame(facts: FilmFacts) -> Method:
        method = Widefield(facts)
        method.block_frames = 1
        whole = method.reconstruct

        def reconstruct(frames_adu: NDArray[np.uint16]) -> BlockResult:
            if len(given) == stop_at[0]:
                os.kill(os.getpid(), signal.SIGTERM)
            given.append(len(frames_adu))
            return whole(frames_adu)

        monkeypatch.setattr(method, "reconstruct", reconstruct)
        return method

    monkeypatch.setitem(catalogue.CLASSICAL, "widefield", frame_by_frame)
    call = ["--methods", "widefield", "--repeats", "1", "-o", tmp_path]
    ended = table(film, *call)
    assert ended.exit_code == 143
    assert ended.stderr.endswith("recon-bench: ended; the same command continues it\n")
    (partial,) = (tmp_path / "methods").iterdir()
    assert int(np.load(partial)["frames"]) == 3
    stop_at[0] = 10**6
    before = machine()
    monkeypatch.setattr("smlm_bench.table.passes.machine", lambda: "an abacus")
    assert table(film, *call, "--repeat-limit-s", "0").exit_code == 0
    assert len(given) == 10
    told = json.loads((tmp_path / "table.json").read_text())
    assert told["sittings"]["widefield"]["machine"] == f"{before}; an abacus"
    assert [file.name.endswith(".partial.npz") for file in partial.parent.iterdir()] == [False]
