"""The events of a run on the terminal: a progress bar, notes and warnings on standard error."""

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

from smlm_pipeline.cli.exit_codes import MESSAGES


class _Speed(ProgressColumn):
    """Frames a second, or other units, as soon as they are measured."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Speed of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self._unit}/s" if speed else "")


class TerminalEvents(AbstractContextManager["TerminalEvents"]):
    """Frames done, frames a second and time left; a context manager that ends the bar.

    Parameters
    ----------
    program : str
        The command's name, which begins each note and warning.
    unit : str
        What is counted.
    quiet : bool
        Whether notes and the bar are not shown; warnings always are.
    """

    def __init__(self, program: str, *, quiet: bool, unit: str = "frames") -> None:
        console = Console(stderr=True)
        self._program, self._quiet = program, quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            _Speed(unit),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("opening", total=None, start=False)
        self._frames: int | None = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Fill the bar of a run that succeeded, whatever its parts added up to, and end it."""
        if kind is None and self._frames is not None:
            self._bar.update(self._task, description="done", completed=self._frames)
        self._bar.stop()

    def stage(self, name: str, frames: int | None = None) -> None:
        """Name the stage; the first one shows the bar."""
        self._frames = frames or self._frames
        self._bar.start()
        self._bar.update(self._task, description=name, total=self._frames)

    def progress(self, frames: float) -> None:
        """Count frames that are done."""
        self._bar.start_task(self._task)
        self._bar.advance(self._task, frames)

    def note(self, text: str) -> None:
        """Print a note, unless the command is quiet."""
        if not self._quiet:
            self.warning(text)

    def warning(self, text: str) -> None:
        """Print a warning."""
        shown = self._bar.live.is_started  # its console prints above the bar
        console = self._bar.console if shown else MESSAGES
        console.print(f"{self._program}: {text}", markup=False, highlight=False, soft_wrap=True)
