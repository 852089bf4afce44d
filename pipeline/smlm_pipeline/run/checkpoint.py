"""What a run has summed so far, kept beside its output, so that a run that was killed can go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from smlm_pipeline.errors import CheckpointError, ContractError, OutputError
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.checkpoint_file import read_facts, read_sum, write_ledger

COST_SHARE = 0.05
"""Share of the time that writing may take: a large sum on a slow disk is written less often."""


@dataclass(frozen=True)
class Identity:
    """What a sum is of: all of it must be the same for a run to go on from a sum.

    ``film_sha256`` stands for the film (`smlm_pipeline.film.survey.Survey`), and the last
    three are how it was cut.
    """

    film_sha256: str
    model: str
    contract_version: int
    software: str
    zoom: int
    chunk_frames: int
    tile_px: int
    requests: int


@dataclass(frozen=True)
class NetworkIdentity:
    """The network whose answers are summed.

    ``sha256`` of its file is empty where a server does not tell it; ``check`` raises a
    `ContractError` if servers went over to another one since the run began.
    """

    version: str
    sha256: str = ""
    check: Callable[[], None] = lambda: None


class Checkpoint(Protocol):
    """What is told of a run's sum while it grows."""

    def begin(self, accumulator: Accumulator, identity: Identity) -> None:
        """Called before the first chunk, with a sum of nothing."""
        ...

    def keep(self) -> None:
        """Called after each chunk."""
        ...


class NoCheckpoint:
    """Keeps nothing."""

    def begin(self, accumulator: Accumulator, identity: Identity) -> None:
        """Nothing to restore."""

    def keep(self) -> None:
        """Nothing to write."""


class FileCheckpoint(AbstractContextManager["FileCheckpoint"]):
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
        Is given a note when a run goes on.
    warn : callable
        Is told when its sum was kept or could not be.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume: bool,
        every_s: float,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.path = path
        self._resume, self._every_s, self._say, self._warn = resume, every_s, say, warn
        self._run: tuple[Accumulator, Identity] | None = None
        self._network = NetworkIdentity("")
        self._written = 0
        self._file: tuple[int, int] | None = None
        self._due_s = 0.0
        self._complained = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the sum that no image has whole, and tell."""
        if self._run is None or (kind is not None and issubclass(kind, ContractError)):
            return  # nothing has begun, or a part of the sum is of another network
        accumulator, identity = self._run
        with contextlib.suppress(ContractError):
            if len(accumulator.merged) > self._written:
                self._write(accumulator, identity)
        if self._written:  # now, or before there was no room
            self._warn(
                f"{self._written:,} of {identity.requests:,} requests are kept in "
                f"{self.path}; the same command with --resume goes on from there"
            )

    def answers_come_from(self, network: NetworkIdentity) -> None:
        """Tell, before the run begins, which network answers."""
        self._network = network

    def begin(self, accumulator: Accumulator, identity: Identity) -> None:
        """Restore the sum that is to be gone on with; what is not to be is removed.

        Raises
        ------
        CheckpointError
            If it is damaged or of something else.
        """
        if self._resume and self.path.is_file():
            self._restore(accumulator, identity)
        elif self._resume:
            self._say(f"there is no {self.path.name} to go on from; starting at the first frame")
        else:
            self.path.unlink(missing_ok=True)
        self._run = accumulator, identity
        self._due_s = time.monotonic() + self._every_s

    def keep(self) -> None:
        """Write the sum if it is time to; called after each chunk.

        Raises
        ------
        ContractError
            If servers went over to another network.
        """
        if self._run is not None and time.monotonic() >= self._due_s:
            self._write(*self._run)

    def results_are_written(self) -> None:
        """Remove the file, unless the image lacks chunks or another run has written it since."""
        if self._run is None or len(self._run[0].merged) < self._run[1].requests:
            return
        self._run = None
        with contextlib.suppress(OSError):  # of no use, and in nobody's way
            if _identity_of(self.path) == self._file:
                self.path.unlink()

    def _restore(self, accumulator: Accumulator, identity: Identity) -> None:
        facts = read_facts(self.path)
        self._check(facts.get("identity"), identity)
        if not self._network.sha256:  # what an earlier run knew is not forgotten
            known = str(facts["identity"].get("network_sha256", ""))
            self._network = replace(self._network, sha256=known)
        merged = _indices(facts.get("merged"), identity.requests, self.path)
        read_sum(self.path, accumulator.canvas)
        accumulator.restore(merged)
        self._written, self._file = len(merged), _identity_of(self.path)
        self._say(
            f"going on from {self.path.name}: {len(merged):,} of {identity.requests:,} requests "
            "are done"
        )

    def _check(self, found: Any, identity: Identity) -> None:
        """Refuse a sum of something else, and name what differs."""
        kept = found if isinstance(found, dict) else {}
        if kept.get("film_sha256") != identity.film_sha256:
            raise CheckpointError(
                f"{self.path} is of another film, or of other frames or another region of it; "
                "expected the film it was begun with: name that, or start anew with --overwrite "
                "instead of --resume"
            )
        for name, value in self._all_of(identity).items():
            known = name != "network_sha256" or (value and kept.get(name))
            if known and kept.get(name) != value:
                raise CheckpointError(
                    f"{self.path} was begun with {name.replace('_', ' ')} {kept.get(name)}, this "
                    f"run has {value}; use the same, or start anew with --overwrite instead of "
                    "--resume"
                )

    def _all_of(self, identity: Identity) -> dict[str, Any]:
        """With what answers."""
        network = {"model_version": self._network.version, "network_sha256": self._network.sha256}
        return {**asdict(identity), **network}

    def _write(self, accumulator: Accumulator, identity: Identity) -> None:
        """Write; a disk without room costs the run what would be kept, and nothing else."""
        if not accumulator.whole:  # an interruption came while a chunk was added
            return
        started = time.monotonic()
        self._network.check()
        merged = accumulator.merged
        facts = {"identity": self._all_of(identity), "merged": _ranges(merged)}
        try:
            write_ledger(self.path, facts, accumulator.canvas)
        except OutputError as error:
            if not self._complained:
                self._warn(f"what is summed so far cannot be kept for --resume: {error}")
            self._complained = True
        else:
            self._written, self._file = len(merged), _identity_of(self.path)
        now = time.monotonic()
        self._due_s = now + max(self._every_s, (now - started) / COST_SHARE)


def _identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


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
        if all(0 <= first < last <= count for first, last in ranges):
            return {index for first, last in ranges for index in range(first, last)}
    except (TypeError, ValueError):
        pass  # as of nonsense that is made of numbers
    raise CheckpointError(
        f"{path} does not tell what it covers; start anew with --overwrite instead of --resume"
    )
