"""``recon-bench speed``: all engines on two small sizes, and the lines through their times."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")

import keras
import numpy as np

from fakes.processes import children, wait_for
from smlm_bench import cli
from smlm_bench.speed import contenders, run
from smlm_bench.speed.bare import (
    NO_BF16,
    keras_ways,
    layers_ways,
    onnx_ways,
    openvino_ways,
    write_bare,
    write_layers,
)
from smlm_bench.speed.contenders import Contender
from smlm_bench.speed.engines import (
    BARE,
    CLIENT,
    KERAS,
    LOCAL,
    ONNX,
    OPENVINO_BF16,
    OPENVINO_F32,
    OPENVINO_LAYERS,
    PEER,
    SERVER,
    TRITON,
    titled,
)
from smlm_bench.speed.markdown import as_words
from smlm_bench.speed.measure import (
    FilmTime,
    Speed,
    Spread,
    line,
    lines_against_frames,
    lines_against_pixels,
    timed,
)
from smlm_bench.speed.peak_memory import peak_kib, peak_kib_of_all, peak_of
from smlm_bench.speed.run import TIMED, Plan, measure
from smlm_pipeline.compute.activation import activate
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.processor import has_bf16
from smlm_pipeline.errors import ReconError
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.networks import NETWORKS
from smlm_training.networks.fine_map import density, emitters_per_sr_pixel, enlarge_frames
from smlm_training.networks.frames import read_input
from smlm_training.scoring.inference import detect, normalized

pytestmark = pytest.mark.training

BARE_HERE = [engine for engine in BARE if engine != OPENVINO_BF16 or has_bf16()]


def _small_map() -> keras.Model:
    frames = read_input()
    answer = emitters_per_sr_pixel(density(enlarge_frames(frames), 1))
    return keras.Model(frames, answer, name="deep-storm")


@pytest.mark.triton
def test_all_engines_are_timed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, PEER, _small_map)
    words = ["--sizes-px", "16,24,32", "--megapixels", "0.01", "--rounds", "1", "--no-networks"]
    done = CliRunner().invoke(cli.app, ["speed", *words, "--no-memory", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "speed.json").read_text())
    names = {(each["network"], each["engine"], each["size_px"]) for each in told["speeds"]}
    forms = (*BARE_HERE, OPENVINO_LAYERS, LOCAL, TRITON)
    engines = {(name, engine) for name in TIMED for engine in forms}
    peers = {(PEER, engine) for engine in (*BARE_HERE, KERAS)}
    assert names == {(*each, size_px) for each in engines | peers for size_px in (16, 24, 32)}
    for each in told["speeds"]:
        assert each["frames_per_s"] == pytest.approx(1e3 / each["ms_per_frame"]["median"])
        bare = each["engine"] in BARE
        assert each["share_of_bare"]["median"] <= 1 or not bare
    assert (NO_BF16 in told["left_out"]) == (not has_bf16())
    assert {each["against"] for each in told["lines"]} == {
        "ms a frame against pixels",
        "seconds against frames",
    }
    assert "CPU threads" in told["machine"]
    by_length = {(each["network"], each["engine"], each["frames"]) for each in told["films"]}
    assert by_length == {
        (name, engine, frames)
        for name in TIMED
        for engine in (LOCAL, TRITON)
        for frames in (16, 32, 64)
    }
    assert {each["film"] for each in told["messages"]} >= {"sparse", "dense"}
    markdown = (tmp_path / "speed.md").read_text()
    assert f"| unet | 32 | {LOCAL} | 16 | " in markdown
    assert f"| {PEER} | 32 | {KERAS}, batches of " in markdown
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.triton
def test_peak_memory_is_told_of_every_engine_and_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times and bytes are other tests'; here no contender takes part."""
    monkeypatch.setitem(NETWORKS, PEER, _small_map)
    monkeypatch.setattr(run, "contenders", lambda *_: [])
    monkeypatch.setattr(run, "film_contenders", lambda *_: ())
    monkeypatch.setattr(run, "message_sizes", lambda *_: [])
    plan = Plan((16,), 0.01, 1, networks=False, memory=True)
    kept: list[int] = []
    peaks = measure(plan, lambda _: None, lambda found: kept.append(len(found.peaks))).peaks
    assert kept == [len(peaks)] * 3  # after memory, the only size, and the lengths
    mib = {(each.name, each.frames): each.mib for each in peaks}
    film = {(name, frames) for name in (LOCAL, CLIENT) for frames in (39, 156)}
    keras_peer = titled(PEER, KERAS), 1
    assert set(mib) == film | {(SERVER, 156), (titled(PEER, ONNX), 1), keras_peer}
    assert mib[LOCAL, 39] < mib[keras_peer] / 2  # a client loads no TensorFlow
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


def test_every_way_to_call_a_bare_network_gives_its_answers(tmp_path: Path) -> None:
    film_adu = np.random.default_rng(3).poisson(120, (16, 16, 16)).astype(np.uint16)
    bare, ready = write_bare(NETWORK, tmp_path / "bare.onnx"), normalized(film_adu)[:5]
    expected = detect(OnnxNetwork(NETWORK, intra_op_threads=1), film_adu)[:5]
    engines = set()
    for engine, _, work in (*onnx_ways(bare, ready), *openvino_ways(bare, ready)):
        engines.add(engine)
        found = np.concatenate(work())
        tolerance = 0.2 if engine == OPENVINO_BF16 else 1e-3
        np.testing.assert_allclose(found, expected, atol=tolerance)
    assert engines == set(BARE_HERE)
    for _, _, work in layers_ways(write_layers(NETWORK, tmp_path / "layers.onnx"), ready):
        found = np.empty_like(expected)
        activate(np.concatenate(work()), found)
        np.testing.assert_allclose(found[:, :5], expected[:, :5], atol=0.2)


def test_keras_is_called_in_batches() -> None:
    model, ready = _small_map(), np.ones((5, 1, 16, 16), np.float32)
    ways = list(keras_ways(model, ready))
    assert [way for _, way, _ in ways] == ["batches of 1", "batches of 4"]
    for _, _, work in ways:
        assert np.concatenate(work()).shape == (5, 128, 128, 1)


def test_the_peer_is_left_out_where_a_frame_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "memory_bytes", lambda: 24 << 30)
    frames = [contenders.peer_frames(size_px) for size_px in (64, 128, 256, 512)]
    assert frames == [4, 3, 0, 0]


def _speed(
    engine: str, way: str, size_px: int, ms: float, share_of_bare: Spread | None = None
) -> Speed:
    spread = Spread(ms, ms, ms)
    return Speed("unet", engine, way, size_px, 8, 1e3 / ms, spread, share_of_bare, None)


def test_the_best_way_of_each_size_makes_the_line() -> None:
    speeds = [
        _speed("a", way, size_px, ms)
        for size_px, way, ms in [
            (10, "x", 5.0),
            (10, "y", 1.0),
            (20, "x", 4.0),
            (20, "y", 9.0),
            (30, "x", 9.0),
        ]
    ]
    twice = [_speed("twice", "", size_px, 1) for size_px in (10, 20)]
    (found,) = lines_against_pixels([*speeds, *twice])
    assert (found.slope, found.offset) == pytest.approx((0.01, 0))
    assert found.name == "unet, a"


def test_films_of_several_lengths_make_a_line_of_each_engine() -> None:
    films = [FilmTime("unet", "a", 64, frames, 0.5 + frames / 100) for frames in (10, 20, 40)]
    (found,) = lines_against_frames([*films, FilmTime("unet", "once", 64, 10, 1.0)])
    assert (found.slope, found.offset) == pytest.approx((0.01, 0.5))
    assert as_words(found) == "10.00 ms for each frame +0.50 s"


def test_shares_are_of_the_fastest_bare_engine_round_by_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds_s = {
        ("unet", ONNX): [0.4, 0.8, 0.4],
        ("unet", OPENVINO_F32): [0.2, 0.3, 0.2],
        ("unet", LOCAL): [0.4, 0.4, 0.25],
        ("unet-fast", LOCAL): [0.1, 0.1, 0.1],
        (PEER, ONNX): [20.0, 40.0, 30.0],
        (PEER, KERAS): [30.0, 30.0, 30.0],
    }
    listed = [Contender(*name, "", 4, lambda: None) for name in rounds_s]
    monkeypatch.setattr("smlm_bench.speed.measure.seconds_in_turn", lambda *_: [*rounds_s.values()])
    found = {(each.network, each.engine): each for each in timed(listed, 16, 3)}
    bare, local = found["unet", OPENVINO_F32], found["unet", LOCAL]
    assert bare.share_of_bare == Spread(1, 1, 1)
    assert local.share_of_bare is not None
    assert local.times_peer is not None
    assert astuple(local.share_of_bare) == pytest.approx((0.75, 0.5, 0.8))
    assert astuple(local.times_peer) == pytest.approx((100, 50, 120))
    assert astuple(local.ms_per_frame) == pytest.approx((100, 62.5, 100))
    assert found["unet-fast", LOCAL].share_of_bare is None


def test_each_round_is_timed_after_a_run_that_warms_caches() -> None:
    runs: list[str] = []
    listed = [Contender("unet", ONNX, "", 4, lambda: runs.append("x"))]
    (speed,) = timed(listed, 16, 3)
    assert len(runs) == 4
    assert speed.times_peer is None


@pytest.mark.parametrize("sizes", ["", "8", "64,x", "\u00b2"])
def test_sizes_that_make_no_sense_are_refused(sizes: str) -> None:
    done = CliRunner().invoke(cli.app, ["speed", "--sizes-px", sizes])
    assert done.exit_code == 2
    assert "expected edges of 16 to 2048" in done.stderr
