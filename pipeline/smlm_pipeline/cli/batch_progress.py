"""The events of a batch on the terminal: a bar for each running film, a line for each outcome."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.progress import TaskID

from smlm_pipeline.batch.record import Outcome
from smlm_pipeline.cli.bars import Bars
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.progress import ProgressLines


class TerminalBatchEvents(AbstractContextManager["TerminalBatchEvents"]):
    """Bars of the running films and lines of outcomes, on standard error; or JSON lines.

    Parameters
    ----------
    program : str
        The command's name, which begins each line.
    films : int
        Number of films of the batch.
    quiet : bool
        Whether notes, progress and films that are done are not shown.
    as_json : bool
        Whether each outcome is printed as JSON, on standard output, and progress is not shown.
    """

    def __init__(self, program: str, films: int, *, quiet: bool, as_json: bool) -> None:
        self._console = Console(stderr=True)
        self._program, self._films = program, films
        self._quiet, self._as_json = quiet or as_json, as_json
        shown = self._console.is_terminal and not self._quiet
        self._bars = Bars("frames", self._console, disable=not shown)
        self._lines = not self._quiet and not shown
        self._ended, self._lock = 0, threading.Lock()
        self._noted: set[str] = set()

    def __enter__(self) -> TerminalBatchEvents:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them."""
        self._bars.stop()

    @contextlib.contextmanager
    def film(self, name: str) -> Iterator[_FilmEvents]:
        """Show the bar of a film while it runs."""
        bar = self._bars.add_task(name, total=None, start=False)
        lines = None
        if self._lines:
            lines = ProgressLines("frames", lambda text: self.say(text, name))
        try:
            yield _FilmEvents(self, name, self._bars, bar, lines)
        finally:
            self._bars.remove_task(bar)

    def ended(self, outcome: Outcome) -> None:
        """Print an outcome: as JSON, or as a line."""
        with self._lock:
            self._ended += 1
            if self._as_json:
                print_json(outcome.as_dict(), one_line=True)
            usual = outcome.state in ("done", "skipped")
            if not (usual and self._quiet):
                self.say(f"[{self._ended}/{self._films}] {outcome.film}: {_in_words(outcome)}")

    def note(self, text: str, film: str = "") -> None:
        """Print a note, unless the command is quiet; the same note on other films is left out."""
        with self._lock:
            known = text in self._noted
            self._noted.add(text)
        if not (self._quiet or known):
            self.say(text, film)

    def say(self, text: str, film: str = "") -> None:
        """Print a line above the bars; a text that begins with the film's name needs no other."""
        named = "" if not film or text.startswith(film) else f"{film}: "
        line = f"{self._program}: {named}{text}"
        self._console.print(
            printable(line, one_line=False), markup=False, highlight=False, soft_wrap=True
        )


class _FilmEvents:
    """Events of one film of a batch, whose name begins each line."""

    def __init__(
        self,
        batch: TerminalBatchEvents,
        name: str,
        bars: Bars,
        bar: TaskID,
        lines: ProgressLines | None,
    ) -> None:
        self._batch, self._name, self._bars, self._bar = batch, name, bars, bar
        self._lines = lines
        self._frames: int | None = None

    def stage(self, name: str, frames: int | None = None) -> None:
        """Name the stage in the bar."""
        self._frames = frames or self._frames
        description = f"{self._name}: {name}"
        self._bars.update(self._bar, description=description, total=self._frames)

    def progress(self, frames: float) -> None:
        """Count frames that are done."""
        self._bars.start_task(self._bar)
        self._bars.advance(self._bar, frames)
        if self._lines is not None:
            self._lines.count(frames, self._frames)

    def note(self, text: str) -> None:
        """Print a note, unless the command is quiet."""
        self._batch.note(text, self._name)

    def warning(self, text: str) -> None:
        """Print a warning."""
        self._batch.say(text, self._name)


def channels_in_words(report: Mapping[str, Any]) -> str:
    """Emitters of each of two channels, and the registration; empty for a film of one channel."""
    channels = report.get("channels", {})
    if not channels:
        return ""
    counts = ", ".join(f"{name} {each['emitters']:,.0f}" for name, each in channels.items())
    method = report["registration"]["method"]
    return f"{counts}; {'not registered' if method == 'none' else f'registered by {method}'}"


def _in_words(outcome: Outcome) -> str:
    """State, and the reason or what was found."""
    if outcome.state == "done" and outcome.report is not None:
        emitters, frames = outcome.report["emitters"], outcome.report["frames"]
        found = f"{emitters:,.0f} emitters in {frames:,} frames"
        channels = channels_in_words(outcome.report)
        of_each = f" ({channels})" if channels else ""
        return f"done, {found}{of_each}, {outcome.elapsed_s:.1f} s"
    return f"{outcome.state}: {outcome.reason}" if outcome.reason else outcome.state
