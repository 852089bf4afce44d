"""Servers side by side: the calculation, and one client with real servers whose network waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.places import ROOT
from smlm_bench import cli
from smlm_bench.scaling import expected
from smlm_bench.scaling.stand_in import repository_that_waits
from smlm_pipeline import contract
from smlm_pipeline.engines.triton import connections

GPU_PX_PER_S = 1e9


def test_the_page_has_the_table_that_the_command_prints() -> None:
    printed = CliRunner().invoke(cli.app, ["scaling", "--expected"]).stdout
    assert printed.strip() in (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert expected.sent_px() > expected.FILM_PX**2, "tiles overlap"


def test_the_slowest_part_decides() -> None:
    alone = expected.rates(GPU_PX_PER_S, 1, 1, 100)
    assert alone.slowest == ("clients", expected.CLIENT_PX_PER_S)
    name, px_per_s = expected.rates(GPU_PX_PER_S, 1, 8, 10).slowest
    assert name == "link"
    assert px_per_s == pytest.approx(0.9 * 10e9 / 8 / 2)
    assert expected.rates(1e6, 4, 8, 10).slowest == ("gpus", 4e6)
    for one, eight in zip(
        vars(expected.rates(GPU_PX_PER_S, 1, 1, 10)).values(),
        vars(expected.rates(GPU_PX_PER_S, 8, 8, 10)).values(),
        strict=True,
    ):
        assert eight == pytest.approx(8 * one)


@pytest.mark.parametrize("servers", ["0", "1,x", "9", ""])
def test_numbers_that_are_none_are_refused(servers: str) -> None:
    result = CliRunner().invoke(cli.app, ["scaling", "--servers", servers])
    assert result.exit_code == 2
    assert "expected numbers from 1 to 8" in " ".join(result.stderr.split())


def test_the_network_that_waits_is_the_only_change(tmp_path: Path, model_repository: Path) -> None:
    made = repository_that_waits(tmp_path, 0.1)
    for file in made.rglob("*"):
        original = model_repository / file.relative_to(made)
        if file.is_file() and file.suffix in (".py", ".pbtxt"):
            waits = file.relative_to(made) == Path(contract.UNET.name, "1", "model.py")
            assert (file.read_bytes() == original.read_bytes()) != waits


@pytest.mark.triton
def test_two_servers_share_the_requests_and_one_may_join_or_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_UP_LEAST_MS", 100)  # the film takes a second
    output = tmp_path / "scaling.json"
    arguments = ["--servers", "1,2", "--wait-ms", "60", "--requests", "12", "-o", str(output)]
    result = CliRunner().invoke(cli.app, ["scaling", *arguments])
    assert result.exit_code == 0, result.stderr
    told = json.loads(output.read_text())
    one, two = told["scaling"]
    assert (one["servers"], one["requests"], one["shares"]) == (1, 12, [1])
    assert (two["servers"], two["requests"]) == (2, 24)
    assert two["shares"] == pytest.approx([0.5, 0.5], abs=0.1)
    for figures in (one, two):
        most = figures["servers"] / 0.060
        assert 0 < figures["requests_per_s"] < 1.1 * most
        assert figures["ideal"] == pytest.approx(figures["requests_per_s"] / most)
    assert two["linear"] == pytest.approx(two["requests_per_s"] / (2 * one["requests_per_s"]))
    join = told["join"]
    assert join["same_bits"] is True
    assert 0 < join["first_request_s"] < 5
    assert join["share"] > 0.1
    assert join["failures"] == 0
    assert told["drain"]["same_bits"] is True
    assert told["drain"]["requests_per_s_before"] > 0
