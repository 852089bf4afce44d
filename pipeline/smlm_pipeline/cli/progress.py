"""The events of a run on standard error: notes, warnings, and progress as a bar or in lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from rich.console import Console

from smlm_pipeline.cli.bars import Bars, duration, rate
from smlm_pipeline.cli.exit_codes import MESSAGES
from smlm_pipeline.cli.printable import printable

LINES_EVERY_S = 30.0
"""Shortest pause between two lines of progress where the output is no terminal."""


class ProgressLines:
    """A line of progress now and then, for logs of clusters and other files.

    Parameters
    ----------
    unit : str
        What is counted.
    say : Callable
        Prints a line.
    clock : Callable
        Seconds that pass; another one is for tests.
    """

    def __init__(
        self, unit: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unit, self._say, self._clock = unit, say, clock
        self._said_s = clock()
        self._began_s: float | None = None
        self._done = self._first = 0.0

    def count(self, done: float, total: int | None) -> None:
        """Count what is done, and print a line if the last one is long ago.

        The first count is what an earlier run did; it has no part in the speed.
        """
        now_s = self._clock()
        if self._began_s is None:
            self._began_s, self._first = now_s, done
        self._done += done
        if now_s - self._said_s < LINES_EVERY_S or total is None:
            return
        self._said_s = now_s
        elapsed_s = now_s - self._began_s
        speed = (self._done - self._first) / elapsed_s if elapsed_s > 0 else 0.0
        self._say(
            f"{self._done:,.0f} of {total:,} {self._unit}, {rate(speed)} {self._unit}/s, "
            f"{duration(elapsed_s)} passed{_left(total - self._done, speed)}"
        )


class TerminalEvents(AbstractContextManager["TerminalEvents"]):
    """Frames done, frames a second, time passed and left; a context manager that ends the bar.

    Parameters
    ----------
    program : str
        The command's name, which begins each note and warning.
    unit : str
        What is counted.
    quiet : bool
        Whether notes and progress are not shown; warnings always are.
    """

    def __init__(self, program: str, *, quiet: bool, unit: str = "frames") -> None:
        console = Console(stderr=True)
        self._program, self._quiet = program, quiet
        self._bar = Bars(unit, console, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("opening", total=None, start=False)
        self._frames: int | None = None
        shown = not quiet and not console.is_terminal
        self._lines = ProgressLines(unit, self.warning) if shown else None

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
        if self._lines is not None:
            self._lines.count(frames, self._frames)

    def note(self, text: str) -> None:
        """Print a note, unless the command is quiet."""
        if not self._quiet:
            self.warning(text)

    def warning(self, text: str) -> None:
        """Print a warning."""
        shown = self._bar.live.is_started  # its console prints above the bar
        console = self._bar.console if shown else MESSAGES
        line = printable(f"{self._program}: {text}")
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _left(count: float, speed: float) -> str:
    """The time that is left, for the end of a line."""
    return f", {duration(count / speed)} left" if speed > 0 else ""
