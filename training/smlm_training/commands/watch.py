"""Progress of a training run: a bar on a terminal, and a line for each checkpoint."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from smlm_training.fitting.fit import Progress


class Watch(AbstractContextManager["Watch"]):
    """Shows steps, loss and time left, and at the end the share of time spent waiting for data."""

    def __init__(self, steps: int) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  loss {task.fields[loss]:.2f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=steps, loss=float("nan"))
        self._ticks = 0
        self._trained_s = self._waited_s = 0.0

    def __enter__(self) -> Watch:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is, and report the wait for data."""
        self._bar.stop()
        if self._trained_s:
            share = self._waited_s / self._trained_s
            self.say(f"waited {share:.1%} of the time for data")

    def tick(self, step: int, loss: float) -> None:
        """Count a step; a resumed run's speed is that of the steps seen here."""
        if not self._ticks:
            self._bar.reset(self._task, completed=step, loss=loss)
        self._ticks += 1
        self._bar.update(self._task, completed=step, loss=loss)

    def report(self, progress: Progress) -> None:
        """Report a checkpoint."""
        self._trained_s += progress.trained_s
        self._waited_s += progress.waited_s
        self.say(
            f"step {progress.step:,} of {progress.steps:,}  loss {progress.loss:.2f}  "
            f"validation {progress.validation_loss:.2f}  {progress.steps_per_s:.2f} steps/s  "
            f"{progress.seconds_left / 60:.0f} min left"
        )

    def say(self, line: str) -> None:
        """Print a line on standard output, or above the bar on a terminal."""
        if self._bar.disable:
            typer.echo(line)
        else:
            self._bar.console.print(line, highlight=False)
