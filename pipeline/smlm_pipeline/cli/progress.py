"""The progress bar of a run, on standard error."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _FramesPerSecond(ProgressColumn):
    """Frames a second, once there is something to measure."""

    def render(self, task: Task) -> Text:
        """Speed of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} frames/s" if speed else "")


class FrameProgress(AbstractContextManager["FrameProgress"]):
    """Frames done, frames a second and time left; silent unless ``shown`` on a terminal."""

    def __init__(self, frames: int, *, shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames"),
            _FramesPerSecond(),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._frames = frames
        self._task = self._progress.add_task("opening", total=frames, start=False)

    def __enter__(self) -> FrameProgress:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def says(self, what: str) -> None:
        """Name the present stage."""
        self._progress.update(self._task, description=what)

    def finish(self) -> None:
        """Fill the bar, whatever the parts added up to."""
        self._progress.update(self._task, description="done", completed=self._frames)

    def advance(self, frames: float) -> None:
        """Count frames that are done."""
        self._progress.start_task(self._task)
        self._progress.advance(self._task, frames)
