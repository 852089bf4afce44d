"""``recon-bench speed``: all engines on two small sizes, and the lines through their times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")

import keras

from smlm_pipeline.errors import ReconError
from smlm_training import bench_cli
from smlm_training.comparison.speed.contenders import (
    KERAS,
    LIMIT,
    LOCAL,
    PEER_KERAS,
    PEER_ONNX,
    TRITON,
    Contender,
)
from smlm_training.comparison.speed.measure import Speed, line, lines_against_pixels, timed
from smlm_training.comparison.speed.memory import client_peak
from smlm_training.networks import NETWORKS
from smlm_training.networks.channels import read_input
from smlm_training.networks.fine_map import density, emitters_per_fine_pixel, enlarge_frames

pytestmark = pytest.mark.training


def _small_map() -> keras.Model:
    frames = read_input()
    answer = emitters_per_fine_pixel(density(enlarge_frames(frames), 1))
    return keras.Model(frames, answer, name="deep-storm")


@pytest.mark.triton
def test_all_engines_are_timed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "deep-storm", _small_map)
    words = ["--sizes-px", "16,32", "--megapixels", "0.01", "--rounds", "1", "--no-networks"]
    done = CliRunner().invoke(bench_cli.app, ["speed", *words, "--no-memory", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "speed.json").read_text())
    names = {(each["name"], each["size_px"]) for each in told["speeds"]}
    everyone = (LIMIT, LOCAL, TRITON, KERAS, PEER_ONNX, PEER_KERAS)
    assert names == {(name, size_px) for name in everyone for size_px in (16, 32)}
    assert all(each["ms_per_frame"] > 0 for each in told["speeds"])
    assert max(each["share_of_limit"] for each in told["speeds"] if each["name"] == LIMIT) == 1
    assert {each["against"] for each in told["lines"]} == {
        "ms a frame against pixels",
        "seconds against frames",
    }
    assert all(costs["unet"] > 0 for costs in told["served"].values())
    assert "CPU threads" in told["machine"]
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_memory_is_that_of_a_process_without_training(film_file: Path) -> None:
    peak = client_peak(LOCAL, film_file, 48, 40, None)
    assert 40 < peak.mib < 400  # TensorFlow alone would be more


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ReconError, match="the process whose memory is measured failed"):
        client_peak(LOCAL, tmp_path / "none.tif", 48, 40, None)


def test_a_line_is_fitted_with_the_share_that_it_explains() -> None:
    exact = line("a", "b", [1, 2, 3], [5, 7, 9])
    assert (exact.slope, exact.offset, exact.r2) == pytest.approx((2, 3, 1))
    assert line("a", "b", [1, 2, 3], [0, 1, 0]).r2 == pytest.approx(0)


def test_the_best_batch_of_each_size_makes_the_line() -> None:
    speeds = [
        Speed("a", batch, size_px, 8, ms, ms, ms, 1.0, None)
        for size_px, batch, ms in [(10, 1, 5.0), (10, 4, 1.0), (20, 1, 4.0), (20, 4, 9.0)]
    ]
    (found,) = lines_against_pixels([*speeds, Speed("once", 0, 10, 8, 1, 1, 1, 1.0, None)])
    assert (found.slope, found.offset) == pytest.approx((0.01, 0))


def test_shares_are_of_the_fastest_direct_batch() -> None:
    waited: list[str] = []
    found = [Contender(LIMIT, 1, 4, lambda: waited.append("x")), Contender(LOCAL, 0, 4, lambda: 0)]
    first, second = timed(found, 16, 3)
    assert first.share_of_limit == 1
    assert first.times_peer is None
    assert second.share_of_limit == pytest.approx(first.ms_per_frame / second.ms_per_frame)
    assert len(waited) == 4  # once before it is timed


@pytest.mark.parametrize("sizes", ["", "8", "64,x"])
def test_sizes_that_make_no_sense_are_refused(sizes: str) -> None:
    done = CliRunner().invoke(bench_cli.app, ["speed", "--sizes-px", sizes])
    assert done.exit_code == 2
    assert "expected edges of 16 to 2048" in done.stderr
