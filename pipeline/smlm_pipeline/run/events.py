"""The reports of a run in progress: stages, progress, notes and warnings."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """Receives the reports of a run.

    Implement it to show a run in a program of your own; ``recon-client`` shows it on the
    terminal (`smlm_pipeline.cli.progress`). All methods are called from the thread that
    called `submit` or `reconstruct`.
    """

    def stage(self, name: str, frames: int | None = None) -> None:
        """Start a stage: its name, and the frames of the whole film where they are known."""
        ...

    def progress(self, frames: float) -> None:
        """Count frames that are done; a tile counts as its share of its frames."""
        ...

    def note(self, text: str) -> None:
        """Report a fact that a user may want to know."""
        ...

    def warning(self, text: str) -> None:
        """Report a fact that no user should miss."""
        ...


class Silence:
    """Events that are not shown."""

    def stage(self, name: str, frames: int | None = None) -> None:
        """Ignore a stage."""

    def progress(self, frames: float) -> None:
        """Ignore progress."""

    def note(self, text: str) -> None:
        """Ignore a note."""

    def warning(self, text: str) -> None:
        """Ignore a warning."""


SILENCE = Silence()
"""The default of `submit` and `reconstruct`."""
