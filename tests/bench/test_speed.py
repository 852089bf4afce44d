"""``recon-bench speed``: all engines on two small sizes, and the lines through their times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")

import keras

from fakes.processes import children, wait_for
from smlm_bench import cli
from smlm_bench.speed import run
from smlm_bench.speed.contenders import Contender
from smlm_bench.speed.engines import (
    CLIENT,
    KERAS,
    LIMIT,
    LIMITS,
    LOCAL,
    PEER_KERAS,
    PEER_ONNX,
    SERVER,
    TRITON,
)
from smlm_bench.speed.markdown import as_words
from smlm_bench.speed.measure import (
    FilmTime,
    Speed,
    line,
    lines_against_frames,
    lines_against_pixels,
    timed,
)
from smlm_bench.speed.peak_memory import peak_kib, peak_kib_of_all, peak_of
from smlm_bench.speed.run import Plan, measure
from smlm_pipeline.errors import ReconError
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.networks import NETWORKS
from smlm_training.networks.fine_map import density, emitters_per_sr_pixel, enlarge_frames
from smlm_training.networks.frames import read_input

pytestmark = pytest.mark.training


def _small_map() -> keras.Model:
    frames = read_input()
    answer = emitters_per_sr_pixel(density(enlarge_frames(frames), 1))
    return keras.Model(frames, answer, name="deep-storm")


@pytest.mark.triton
def test_all_engines_are_timed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "deep-storm", _small_map)
    words = ["--sizes-px", "16,24,32", "--megapixels", "0.01", "--rounds", "1", "--no-networks"]
    done = CliRunner().invoke(cli.app, ["speed", *words, "--no-memory", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "speed.json").read_text())
    names = {(each["name"], each["size_px"]) for each in told["speeds"]}
    everyone = (*LIMITS, LOCAL, TRITON, KERAS, PEER_ONNX, PEER_KERAS)
    assert names == {(name, size_px) for name in everyone for size_px in (16, 24, 32)}
    assert all(each["ms_per_frame"] > 0 for each in told["speeds"])
    assert max(each["share_of_limit"] for each in told["speeds"] if each["name"] in LIMITS) == 1
    assert {each["against"] for each in told["lines"]} == {
        "ms a frame against pixels",
        "seconds against frames",
    }
    assert all(costs["unet"] > 0 for costs in told["served"].values())
    assert "CPU threads" in told["machine"]
    told_by_length = {(each["name"], each["frames"]) for each in told["films"]}
    assert {(LOCAL, 16), (LOCAL, 32), (LOCAL, 64), (PEER_KERAS, 4), (PEER_KERAS, 16)} <= (
        told_by_length
    )
    markdown = (tmp_path / "speed.md").read_text()
    assert f"| 32 | {LOCAL} | 16 | " in markdown
    assert f"| {PEER_KERAS} | " in markdown
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.triton
def test_peak_memory_is_told_of_every_engine_and_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are another test's; here no contender takes part."""
    monkeypatch.setitem(NETWORKS, "deep-storm", _small_map)
    monkeypatch.setattr(run, "contenders", lambda *_: [])
    plan = Plan((16,), 0.01, 1, networks=False, memory=True)
    kept: list[int] = []
    peaks = measure(plan, lambda _: None, lambda found: kept.append(len(found.peaks))).peaks
    assert kept == [len(peaks)] * 3  # after memory, the only size, and the lengths
    mib = {(each.name, each.frames): each.mib for each in peaks}
    film = {(name, frames) for name in (LOCAL, CLIENT) for frames in (39, 156)}
    assert set(mib) == film | {
        (SERVER, 156),
        (LIMIT, 16),
        (KERAS, 16),
        (PEER_ONNX, 1),
        (PEER_KERAS, 1),
    }
    assert mib[LOCAL, 39] < mib[KERAS, 16] / 2  # a client loads no TensorFlow
    assert mib[SERVER, 156] > 100


NETWORK = network_file(find_model_repository(), "unet")


def test_memory_is_that_of_a_process_without_training(film_file: Path) -> None:
    peak = peak_of(LOCAL, film_file, 48, 40, str(NETWORK))
    assert 40 < peak.mib < 400  # TensorFlow alone would be more


def test_memory_of_a_process_and_its_children_is_added_up() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        wait_for(lambda: len(children(parent.pid)) == 1, "the child")
        (child,) = children(parent.pid)
        wait_for(lambda: peak_kib(child) > 1000, "the child's memory")
        assert peak_kib_of_all(parent.pid) >= peak_kib(parent.pid) + 1000
        parent.communicate()


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ReconError, match="the process whose memory is measured failed"):
        peak_of(LOCAL, tmp_path / "none.tif", 48, 40, str(NETWORK))


def test_a_line_is_fitted_with_the_share_that_it_explains() -> None:
    exact = line("a", "b", [1, 2, 3], [5, 7, 9])
    assert (exact.slope, exact.offset, exact.r2) == pytest.approx((2, 3, 1))
    assert line("a", "b", [1, 2, 3], [1, 2, 1]).r2 < 0.2
    far = line("a", "b", [1, 2, 100], [1.0, 2.0, 110.0])
    assert far.slope + far.offset == pytest.approx(1, rel=0.1)  # the small ones count as well


def test_the_best_batch_of_each_size_makes_the_line() -> None:
    speeds = [
        Speed("a", batch, size_px, 8, ms, ms, ms, 1.0, None)
        for size_px, batch, ms in [
            (10, 1, 5.0),
            (10, 4, 1.0),
            (20, 1, 4.0),
            (20, 4, 9.0),
            (30, 1, 9.0),
        ]
    ]
    twice = [Speed("twice", 0, size_px, 8, 1, 1, 1, 1.0, None) for size_px in (10, 20)]
    (found,) = lines_against_pixels([*speeds, *twice])
    assert (found.slope, found.offset) == pytest.approx((0.01, 0))


def test_films_of_several_lengths_make_a_line_of_each_engine() -> None:
    films = [FilmTime("a", 4, 64, frames, 0.5 + frames / 100) for frames in (10, 20, 40)]
    (found,) = lines_against_frames([*films, FilmTime("once", 0, 64, 10, 1.0)])
    assert (found.slope, found.offset) == pytest.approx((0.01, 0.5))
    assert as_words(found) == "10.00 ms for each frame +0.50 s"


def test_shares_are_of_the_fastest_direct_batch() -> None:
    waited: list[str] = []
    found = [Contender(LIMIT, 1, 4, lambda: waited.append("x")), Contender(LOCAL, 0, 4, lambda: 0)]
    first, second = timed(found, 16, 3)
    assert first.share_of_limit == 1
    assert first.times_peer is None
    assert second.share_of_limit == pytest.approx(first.ms_per_frame / second.ms_per_frame)
    assert len(waited) == 4  # once before it is timed


@pytest.mark.parametrize("sizes", ["", "8", "64,x", "\u00b2"])
def test_sizes_that_make_no_sense_are_refused(sizes: str) -> None:
    done = CliRunner().invoke(cli.app, ["speed", "--sizes-px", sizes])
    assert done.exit_code == 2
    assert "expected edges of 16 to 2048" in done.stderr
