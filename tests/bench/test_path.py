"""``recon-bench messages``, ``stages`` and ``client``: bytes and times besides the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smlm_bench import cli
from smlm_bench.speed import client, stages
from smlm_bench.speed.processor_time import cpu_s
from smlm_bench.speed.stub_server import stub_server, stub_sums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import ReconError


def test_bytes_of_messages_are_told_by_network_film_and_classes(tmp_path: Path) -> None:
    out = tmp_path / "messages.json"
    words = ["messages", "--sizes-px", "16", "--networks", "unet_fast,unet_map", "-o", str(out)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    kinds = [(each["network"], each["film"], each["classes"]) for each in found]
    films = ("sparse", "dense", "dense everywhere")
    drawn = [("unet_fast", film, classes) for film in films for classes in (1, 4)]
    assert kinds == [*drawn, *(("unet_map", film, 1) for film in films)]
    by_kind = dict(zip(kinds, found, strict=True))
    frames = 1024 * 16 * 16 * 2
    sparse, dense = (by_kind["unet_fast", film, 1] for film in ("sparse", "dense everywhere"))
    assert sparse["request_bytes"] == frames + 8 * 1024 + 28 + 8 + 12
    assert 0 < sparse["answer_bytes"] < dense["answer_bytes"] < frames
    assert (
        by_kind["unet_fast", "dense", 4]["answer_bytes"]
        >= by_kind["unet_fast", "dense", 1]["answer_bytes"]
    )
    assert "| unet_fast | 16 | sparse | 1 | 1024 | 520 |" in done.stdout


def test_networks_that_do_not_exist_are_refused() -> None:
    done = CliRunner().invoke(cli.app, ["messages", "--networks", "unet,sorcery"])
    assert done.exit_code == 2
    assert "no network 'sorcery'; expected some of unet, unet_fast, unet_map" in done.stderr


@pytest.mark.triton
def test_each_stage_and_each_process_has_a_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "FILMS", {"sparse": "filaments-1"})
    out = tmp_path / "stages.json"
    words = ["--sizes-px", "32", "--networks", "unet_fast", "--megapixels", "0.3", "-o", str(out)]
    done = CliRunner().invoke(cli.app, ["stages", *words])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    (alone,), (processes,) = found["stages"], found["processes"]
    assert list(alone["ns"]) == [
        *("read", "prepare", "cut", "pack", "normalise", "draw", "encode", "decode", "merge"),
        "network",
    ]
    assert all(ns > 0 for ns in alone["ns"].values())
    ns = processes["ns"]
    assert {"client", "Triton", "unet_fast", "summation", "elapsed"} <= set(ns)
    assert ns["unet_fast"] > ns["summation"]
    assert ns["elapsed"] > 0


def test_a_process_that_is_gone_has_no_processor_time() -> None:
    assert cpu_s("self") > 0
    with pytest.raises(ReconError, match="no processor time of process 0: expected Linux"):
        cpu_s(0)


def test_the_stub_server_answers_with_a_tenth_of_the_pixels() -> None:
    window = Window(8, 2, 3, 20, 24, classes=2)
    frames_adu, levels_adu = np.zeros((5, 32, 32), np.uint16), np.ones((5, 2), np.float32)
    request = Request("chunk", frames_adu, levels_adu, window)
    with stub_server(5) as address, TritonTransport(Servers.parse(address)) as transport:
        answer = transport.sum_chunk(request)
    assert answer.frame_count == 5
    expected = stub_sums(window)
    np.testing.assert_array_equal(answer.sums.index, expected.index)
    np.testing.assert_array_equal(answer.sums.weight, expected.weight)
    assert len(expected.index) == -(-window.size // 10)


def test_the_client_alone_is_timed_at_every_zoom() -> None:
    rates = list(client.rates(64, 1.0, 1))
    assert [(each.zoom, each.chunk_frames) for each in rates] == [(8, 256), (4, 256), (1, 256)]
    for each in rates:
        assert each.raw_mb_per_s > 0
        assert min(each.stages_mb_per_s.values()) > 0
    answered = [each.answered_mb_per_s / each.raw_mb_per_s for each in rates]
    assert answered[0] > answered[1] > answered[2]
