"""Tables of the benchmarks, where they are printed to a file, a pipe or a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.places import ROOT
from smlm_bench.console import FILE_COLUMNS, bench_console
from smlm_bench.load.clients import Answer
from smlm_bench.load.summary import summarise, summary_table

COMPARISON = ROOT / "training" / "smlm_bench"
WIDE = "ONNX Runtime in this process, called directly, batches of 32"


def test_a_file_gets_whole_rows(tmp_path: Path) -> None:
    """Also where the shell tells how narrow the terminal is that the command was typed in."""
    code = (
        "from rich.table import Table\n"
        "from smlm_bench.console import bench_console\n"
        "table = Table()\n"
        "for _ in range(3):\n"
        "    table.add_column('engine', no_wrap=True)\n"
        f"table.add_row(*3 * [{WIDE!r}])\n"
        "bench_console().print(table)\n"
    )
    environment = {**os.environ, "COLUMNS": "60"}
    with (tmp_path / "table.txt").open("w") as file:
        subprocess.run(
            [sys.executable, "-c", code], stdout=file, env=environment, check=True, timeout=60
        )
    assert (tmp_path / "table.txt").read_text(encoding="utf-8").count(WIDE) == 3


def test_a_table_of_a_load_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [Answer("a", 64, 8, 123456.78, None) for _ in range(3)]
    title = f"1,000 clients, 2 server(s), reconstruction_fast; {WIDE}"
    bench_console().print(summary_table(summarise(answers, 10.0, (None, None)), title))
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "64 px" in line]
    assert row.count("123456780.0") == 4
    assert max(len(line) for line in lines) < FILE_COLUMNS


def test_a_terminal_keeps_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert bench_console().width == 100


def test_no_benchmark_prints_elsewhere() -> None:
    """Other consoles are for standard error, where progress is reported."""
    others = [path for path in COMPARISON.rglob("*.py") if path.name != "console.py"]
    assert len(others) > 10
    assert [path.name for path in others if " Console()" in path.read_text("utf-8")] == []
