"""Processes that tests start, watch and end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

CLIENT = [sys.executable, "-c", "from smlm_pipeline.cli.app import app; app()"]
"""``recon-client`` as a process of its own."""

PATIENCE_S = 90.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so, but not for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes that a process started; none if it is gone."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
