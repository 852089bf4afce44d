"""Compiled loops work wherever they may be kept, or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from fakes.processes import finished
from smlm_pipeline.compute.compiled import compiled


def test_without_a_folder_to_write_to_they_are_compiled_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = numba.njit

    def read_only(*arguments: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return usual(*arguments, **options)

    monkeypatch.setattr(numba, "njit", read_only)
    assert compiled(lambda number: number + 1)(1) == 2


_MERGE = """
import numpy as np
from smlm_pipeline.localise.kernels import merge_frames
places = np.full((2, 7), 0.5)
merge_frames(places, np.zeros(2, np.int64), np.array([4, 4]), np.arange(2), 3, 1.0, 1.3)
print(places[:, 0].tolist())
"""


@pytest.mark.parametrize("damage", ["emptied", "no room"])
def test_what_is_kept_may_be_damaged(tmp_path: Path, damage: str) -> None:
    """Nothing that Numba keeps, or cannot keep, ends a run."""
    folder = tmp_path / "cache"

    def merged() -> subprocess.CompletedProcess[str]:
        limit = "ulimit -f 8; " if damage == "no room" else ""  # in KiB or half of them
        command = ["sh", "-c", f'{limit}exec "$0" -c "$1"', sys.executable, _MERGE]
        return finished(command, env={**os.environ, "NUMBA_CACHE_DIR": str(folder)})

    if damage != "no room":
        assert merged().stdout == "[1.0, 0.0]\n"
        for file in folder.rglob("*.nb*"):
            file.write_bytes(b"")
    done = merged()
    assert (done.stdout, done.returncode) == ("[1.0, 0.0]\n", 0), done.stderr
