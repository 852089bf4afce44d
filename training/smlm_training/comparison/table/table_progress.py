"""What is shown while methods run: which, how far, and how long it will still take."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

_QUIET_S = 30.0
"""Without a terminal, a line at most so often, for logs."""


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
        self._said_at = 0.0

    def __enter__(self) -> TableProgress:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def note(self, what: str) -> None:
        """Something that the user should know, above the bars."""
        self._console.print(f"recon-bench: {what}", markup=False, highlight=False, soft_wrap=True)

    def tell(self, name: str, frames: int, left_s: float) -> None:
        """A method has done so many frames of its first pass, and needs so long for the rest."""
        left = f"{_duration(left_s)} left" if frames < self._frames else "the first pass is done"
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=self._frames, left=left)
        self._progress.update(self._tasks[name], completed=frames, left=left)
        if not self._console.is_terminal and time.monotonic() - self._said_at > _QUIET_S:
            self._said_at = time.monotonic()
            self._console.print(
                f"{name}: {frames} of {self._frames} frames, {left}", soft_wrap=True
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
