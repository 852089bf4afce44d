"""Consumers of the chunks' answers, each of which gets every chunk exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Protocol

from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.run.chunking import Chunk


class Sink(Protocol):
    """A consumer of answers whose state a checkpoint stores.

    ``name`` is its entry in the checkpoint, as ``sum.npy``; no two sinks of a run share one.
    """

    @property
    def name(self) -> str:
        """Entry in the checkpoint."""
        ...

    def check(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Refuse an answer that does not fit its chunk, before any sink takes it.

        Raises
        ------
        InferenceError
            If it does not fit.
        """
        ...

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Take the answer of a chunk; chunks come in any order, each once."""
        ...

    def write_to(self, file: IO[bytes]) -> None:
        """Write the state."""
        ...

    def read_from(self, file: IO[bytes]) -> None:
        """Replace the state by one that `write_to` wrote.

        Raises
        ------
        ValueError
            If it is damaged or of another run.
        """
        ...

    def write_part_to(self, file: IO[bytes]) -> None:
        """Write all that has been added, for `add_from`."""
        ...

    def add_from(self, file: IO[bytes]) -> None:
        """Add what the sink of another part of the film wrote with `write_part_to`.

        Raises
        ------
        ValueError
            If it is damaged or of another run.
        """
        ...


class Sinks:
    """All sinks of a run and the chunks that they share.

    ``whole`` is false while an answer is being added: an interruption may leave it in some
    sinks, or in a part of one, and such a state must not be kept.

    Parameters
    ----------
    *sinks : Sink
        No two have the same name.
    """

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = {sink.name: sink for sink in sinks}
        if len(self._sinks) < len(sinks):
            raise ValueError(f"sinks are {[sink.name for sink in sinks]}; expected unlike names")
        self._merged: set[int] = set()
        self.whole = True

    @property
    def by_name(self) -> dict[str, Sink]:
        """The sinks, by their entries in a checkpoint."""
        return dict(self._sinks)

    @property
    def merged(self) -> frozenset[int]:
        """Indices of the chunks that have been merged."""
        return frozenset(self._merged)

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> bool:
        """Merge the answer of a chunk into all sinks; false if it was merged before.

        Raises
        ------
        InferenceError
            If the answer does not fit the chunk; no sink has changed.
        """
        if chunk.index in self._merged:
            return False
        for sink in self._sinks.values():
            sink.check(chunk, answer)
        self.whole = False
        for sink in self._sinks.values():
            sink.add(chunk, answer)
        self._merged.add(chunk.index)
        self.whole = True
        return True

    def left(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Chunks that have not been merged."""
        return [chunk for chunk in chunks if chunk.index not in self._merged]

    def restore(self, merged: Iterable[int]) -> None:
        """Declare these chunks merged: the sinks have been restored from a checkpoint."""
        self._merged = set(merged)
