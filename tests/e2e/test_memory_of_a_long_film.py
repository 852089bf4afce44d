"""The client's peak memory does not grow with the film: the benchmark, on smaller films."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")

LEEWAY_MIB = 48
"""What two runs of one film may differ by: allocators, threads."""


def _peak_mib(case: str, scale: float) -> tuple[int, float]:
    arguments = ["memory", "--case", case, "--scale", str(scale)]
    done = subprocess.run(
        [sys.executable, "-m", "smlm_bench", *arguments], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["peak_mib"] < told["limit_mib"]
    return told["frames"], told["peak_mib"]


def test_a_longer_film_takes_no_more_memory() -> None:
    short_frames, short_mib = _peak_mib("short", 0.3)
    long_frames, long_mib = _peak_mib("6 GB", 0.04)
    assert (short_frames, long_frames) == (600, 2000)
    assert abs(long_mib - short_mib) < LEEWAY_MIB
