"""Progress of ``recon-bench table``: bars on a terminal, lines in a log."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from smlm_bench.console import PROGRAM

_LOG_EVERY_S = 30.0
"""Least time between two lines in a log."""


class TableProgress(AbstractContextManager["TableProgress"]):
    """A bar for each method on a terminal, a line now and then in a log."""

    def __init__(self, frames: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:24s}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames, {task.fields[left]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._frames = frames
        self._tasks: dict[str, TaskID] = {}
        self._logged_at = 0.0

    def __enter__(self) -> TableProgress:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line for the user above the bars."""
        self._console.print(f"{PROGRAM}: {text}", markup=False, highlight=False, soft_wrap=True)

    def tell(self, name: str, frames: int, left_s: float) -> None:
        """Show the frames that a method has finished in its first pass, and the time left."""
        left = f"{_duration(left_s)} left" if frames < self._frames else "the first pass is done"
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=self._frames, left=left)
        self._progress.update(self._tasks[name], completed=frames, left=left)
        if not self._console.is_terminal and time.monotonic() - self._logged_at > _LOG_EVERY_S:
            self._logged_at = time.monotonic()
            self._console.print(
                f"{name}: {frames} of {self._frames} frames, {left}", soft_wrap=True
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
