"""The client's peak memory does not grow with the film: the benchmark, on smaller films."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.processes import finished

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")

LEEWAY_MIB = 16
"""What two runs of one film may differ by: allocators, threads."""


def _peak_mib(case: str, scale: float) -> tuple[int, float]:
    arguments = ["memory", "--case", case, "--scale", str(scale), "--in-flight", "1"]
    done = finished([sys.executable, "-m", "smlm_bench", *arguments])
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["peak_mib"] < measured["limit_mib"]
    return measured["frames"], measured["peak_mib"]


def test_a_longer_film_takes_no_more_memory() -> None:
    with ThreadPoolExecutor(2) as pool:
        measured = pool.map(_peak_mib, ("short", "6 GB"), (0.3, 0.04))
        (short_frames, short_mib), (long_frames, long_mib) = measured
    assert (short_frames, long_frames) == (600, 2000)
    assert abs(long_mib - short_mib) < LEEWAY_MIB
