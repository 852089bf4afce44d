"""What a run has summed so far, kept beside its output, so that a run that was killed can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from smlm_pipeline.accumulate import Accumulator
from smlm_pipeline.errors import LedgerError, OutputError
from smlm_pipeline.io.ledger_file import read_facts, read_sum, write_ledger

COST_SHARE = 0.05
"""Share of the time that writing may take: a large sum on a slow disk is written less often."""


@dataclass(frozen=True)
class Identity:
    """What a sum is of: all of it must be the same for a run to go on from a sum.

    ``film_sha256`` stands for the film (`smlm_pipeline.survey.Survey.sha256`), and the last
    three are how it was cut.
    """

    film_sha256: str
    model: str
    model_version: str
    contract_version: int
    software: str
    zoom: int
    chunk_frames: int
    tile_px: int
    requests: int


class Ledger:
    """Keeps nothing: for a run of which nothing is to be left."""

    def begin(self, accumulator: Accumulator, identity: Identity) -> None:
        """Called before the first chunk, with a sum of nothing."""

    def keep(self) -> None:
        """Called after each chunk."""


NO_LEDGER = Ledger()


class FileLedger(Ledger, AbstractContextManager["FileLedger"]):
    """Keeps the sum of a run in a file; entered for the run and the writing of its image.

    When the block is left before image and picture are written, or with an image that lacks
    chunks, the sum is written.

    Parameters
    ----------
    path : Path
        Where it lies.
    resume : bool
        Whether to go on from the file, if there is one.
    every_s : float
        Pause between two writings, at least; see also `COST_SHARE`.
    say : callable
        Is given a note when a run goes on, and when its sum was kept or could not be.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume: bool,
        every_s: float,
        say: Callable[[str], None],
    ) -> None:
        self.path = path
        self._resume, self._every_s, self._say = resume, every_s, say
        self._sum: tuple[Accumulator, Identity] | None = None
        self._written = 0
        self._due_s = 0.0
        self._complained = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the sum that no image has whole, and tell."""
        if self._sum is None:
            return
        accumulator, identity = self._sum
        if len(accumulator.merged) > self._written:
            self._write()
        if self._written:  # now, or before there was no room
            self._say(
                f"{self._written:,} of {identity.requests:,} requests are kept in {self.path}; the "
                "same command with --resume goes on from there"
            )

    def begin(self, accumulator: Accumulator, identity: Identity) -> None:
        """Restore the sum that is to be gone on with, if there is one.

        Raises
        ------
        LedgerError
            If it is damaged or of something else.
        """
        if self._resume and self.path.is_file():
            self._restore(accumulator, identity)
        elif self._resume:
            self._say(f"there is no {self.path.name} to go on from; starting at the first frame")
        self._sum = accumulator, identity
        self._due_s = time.monotonic() + self._every_s

    def keep(self) -> None:
        """Write the sum if it is time to; called after each chunk."""
        if time.monotonic() >= self._due_s:
            self._write()

    def results_are_written(self) -> None:
        """Remove the file, unless the image lacks chunks."""
        if self._sum is not None and len(self._sum[0].merged) == self._sum[1].requests:
            self._sum = None
            self.path.unlink(missing_ok=True)

    def _restore(self, accumulator: Accumulator, identity: Identity) -> None:
        facts = read_facts(self.path)
        self._check(facts.get("identity"), identity)
        merged = _indices(facts.get("merged"), identity.requests, self.path)
        read_sum(self.path, accumulator.canvas)
        accumulator.restore(merged)
        self._written = len(merged)
        self._say(
            f"going on from {self.path.name}: {len(merged):,} of {identity.requests:,} requests "
            "are done"
        )

    def _check(self, found: Any, identity: Identity) -> None:
        """Refuse a sum of something else, and name what differs."""
        kept = found if isinstance(found, dict) else {}
        if kept.get("film_sha256") != identity.film_sha256:
            raise LedgerError(
                f"{self.path} is of another film, or of other frames or another region of it; "
                "expected the film it was begun with: name that, or start anew with --overwrite"
            )
        for name, value in asdict(identity).items():
            if kept.get(name) != value:
                raise LedgerError(
                    f"{self.path} was begun with {name.replace('_', ' ')} {kept.get(name)}, this "
                    f"run has {value}; use the same, or start anew with --overwrite"
                )

    def _write(self) -> None:
        """Write; a disk without room costs the run what would be kept, and nothing else."""
        if self._sum is None:
            return
        accumulator, identity = self._sum
        merged = accumulator.merged
        facts = {"identity": asdict(identity), "merged": _ranges(merged)}
        started = time.monotonic()
        try:
            write_ledger(self.path, facts, accumulator.canvas)
        except OutputError as error:
            if not self._complained:
                self._say(f"what is summed so far cannot be kept for --resume: {error}")
            self._complained = True
        else:
            self._written = len(merged)
        now = time.monotonic()
        self._due_s = now + max(self._every_s, (now - started) / COST_SHARE)


def _ranges(indices: Iterable[int]) -> list[list[int]]:
    """Whole numbers as ranges, first and last (excluded)."""
    ranges: list[list[int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ranges


def _indices(ranges: Any, count: int, path: Path) -> set[int]:
    """The reverse of `_ranges`, of numbers below ``count``."""
    try:
        indices = {index for first, last in ranges for index in range(first, min(last, count + 1))}
    except (TypeError, ValueError):
        indices = {count}
    if any(not 0 <= index < count for index in indices):
        raise LedgerError(f"{path} does not tell what it covers; start anew with --overwrite")
    return indices
