"""``recon-bench load``: clients at once against real servers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smlm_bench import cli
from smlm_bench.load import run
from smlm_bench.load.clients import Answer
from smlm_bench.load.summary import summarise, summary_lines
from smlm_pipeline.engines.embedded import EmbeddedServer


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_WARM_UP_S", 0.1)


def _load(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["load", *words])


@pytest.mark.triton
def test_several_clients_get_all_their_answers(triton: EmbeddedServer, tmp_path: Path) -> None:
    words = ["--clients", "3", "--seconds", "1", "--sizes-px", "16,32", "--frames", "2"]
    out = tmp_path / "load.json"
    done = _load("--server", triton.address, *words, "-o", str(out))
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    assert told["errors"] == {}
    latencies = {each["name"]: each for each in told["latencies"]}
    assert set(latencies) == {"all", "16 px", "32 px"}
    count = latencies["all"]["answers"]
    assert count == latencies["16 px"]["answers"] + latencies["32 px"]["answers"]
    assert count >= 3
    assert latencies["all"]["p50_ms"] <= latencies["all"]["p95_ms"] <= latencies["all"]["p99_ms"]
    assert told["seconds"] >= 1
    assert told["requests_per_s"] == pytest.approx(count / told["seconds"])
    assert told["frames_per_s"] == pytest.approx(2 * told["requests_per_s"])
    assert told["shared_memory_growth_bytes"] is None  # the server is not one of its own


@pytest.mark.triton
def test_two_servers_of_its_own_share_the_clients(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    words = ["--servers", "2", "--clients", "2", "--seconds", "1", "--sizes-px", "16"]
    done = _load(*words, "--frames", "1", "-o", str(out))
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    latencies = {each["name"]: each for each in told["latencies"]}
    assert latencies["server 1"]["answers"] > 0
    assert latencies["server 2"]["answers"] > 0
    assert told["shared_memory_before_bytes"] > 0
    assert told["shared_memory_growth_bytes"] is not None


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--server", "192.0.2.1:8001"], 2, "192.0.2.1:8001 is not on this machine; expected"),
        (["--server", "triton.example:8001"], 2, "or --remote for a server that you may put"),
        (["--server", "localhost"], 2, "the server is 'localhost'; expected HOST:PORT"),
        (["--server", "127.0.0.1:9"], 4, "no Triton server answers at 127.0.0.1:9"),
        (["--sizes-px", "64,65"], 2, "expected multiples of 4 from 16 to 512"),
        (["--model", "sorcery"], 2, "no model 'sorcery'; expected one of reconstruction"),
    ],
)
def test_refusals(words: list[str], code: int, message: str) -> None:
    done = _load(*words, "--seconds", "1", *([] if "--sizes-px" in words else ["--sizes-px", "16"]))
    assert done.exit_code == code
    assert message in done.stderr


def test_rates_count_good_answers_only() -> None:
    answers = [Answer("a", 64, 8, seconds / 100, None) for seconds in range(1, 101)]
    answers.append(Answer("a", 64, 8, 60.0, "StatusCode.UNAVAILABLE"))
    found = summarise(answers, 10.0, (2**20, 3 * 2**20))
    assert found.requests_per_s == 10
    assert found.frames_per_s == 80
    assert found.megapixels_per_s == pytest.approx(80 * 64**2 / 1e6)
    assert found.errors == {"StatusCode.UNAVAILABLE": 1}
    assert found.latencies[0].p50_ms == pytest.approx(505)
    assert found.latencies[0].slowest_ms == pytest.approx(1000)
    assert "errors: 1 x StatusCode.UNAVAILABLE" in summary_lines(found)
    assert any("+2.0 MiB at the end" in each for each in summary_lines(found))


def test_a_load_without_a_good_answer_has_no_latencies() -> None:
    found = summarise([Answer("a", 64, 8, 60.0, "gone")], 60.0, (None, None))
    assert found.latencies[0].p99_ms is None
    assert found.requests_per_s == 0
