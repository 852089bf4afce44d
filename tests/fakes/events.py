"""Events of a run, recorded."""

from __future__ import annotations


class RecordedEvents:
    """Remembers stages, progress, notes and warnings; ``texts`` are the last two in order."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.frames: list[float] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.texts: list[str] = []

    def stage(self, name: str, frames: int | None = None) -> None:
        self.stages.append((name, frames))

    def progress(self, frames: float) -> None:
        self.frames.append(frames)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.texts.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        self.texts.append(text)
