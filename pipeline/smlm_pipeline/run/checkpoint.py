"""The checkpoint of a run, kept beside its output, from which an interrupted run continues."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from smlm_pipeline.compute.brightness import SPREAD_MAX
from smlm_pipeline.errors import CheckpointError, ContractError, OutputError
from smlm_pipeline.run.checkpoint_file import read_facts, read_sinks, write_checkpoint
from smlm_pipeline.run.events import Events
from smlm_pipeline.run.identity import RunIdentity
from smlm_pipeline.run.partial_file import write_partial
from smlm_pipeline.run.sinks import Sinks

COST_SHARE = 0.05
"""Share of the time that writing may take: a large sum on a slow disk is written less often."""

_START_OVER = "start over with --overwrite instead of --resume"


class Checkpoint(Protocol):
    """Follows the sinks of a run while they grow."""

    def spread(self, look: Callable[[], float | None]) -> float | None:
        """The spread of brightness of the run that continues, or else what a look finds."""
        ...

    def begin(self, sinks: Sinks, identity: RunIdentity, check_network: Callable[[], None]) -> None:
        """Restore the sinks, or start with empty ones; called before the first chunk."""
        ...

    def keep(self) -> None:
        """Write, if it is time to; called after each chunk."""
        ...


class NoCheckpoint:
    """Keeps nothing."""

    def spread(self, look: Callable[[], float | None]) -> float | None:
        """Look: there is no run before."""
        return look()

    def begin(self, sinks: Sinks, identity: RunIdentity, check_network: Callable[[], None]) -> None:
        """Restore nothing."""

    def keep(self) -> None:
        """Write nothing."""


NO_CHECKPOINT = NoCheckpoint()
"""The default of `reconstruct`."""


@dataclass(frozen=True)
class _Run:
    """The run that is kept."""

    sinks: Sinks
    identity: RunIdentity
    check_network: Callable[[], None]


class FileCheckpoint(AbstractContextManager["FileCheckpoint"]):
    """Keeps the sinks of a run in a file; entered for the run and the writing of its image.

    When the block is left before image and picture are written, or with an image that lacks
    chunks, the checkpoint is written.

    Parameters
    ----------
    path : Path
        The file.
    resume : bool
        Whether to continue from the file, if it exists.
    every_s : float
        Shortest pause between two writings; see also `COST_SHARE`.
    events : Events
        Gets a note when a run continues, and a warning when its checkpoint was kept or
        could not be.
    """

    def __init__(self, path: Path, *, resume: bool, every_s: float, events: Events) -> None:
        self.path = path
        self._resume, self._every_s, self._events = resume, every_s, events
        self._run: _Run | None = None
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
        """Write what no image has whole, and report it."""
        if self._run is None or (kind is not None and issubclass(kind, ContractError)):
            return  # nothing has begun, or a part of the sum is of another network
        with contextlib.suppress(ContractError):
            if len(self._run.sinks.merged) > self._written:
                self._write(self._run)
        if self._written:  # now, or before the disk was full
            self._events.warning(
                f"{self._written:,} of {self._run.identity.requests:,} requests are kept in "
                f"{self.path}; run the same command with --resume to continue"
            )

    def spread(self, look: Callable[[], float | None]) -> float | None:
        """The spread of brightness of the run that is continued, or else what a look finds.

        So a run ends with the levels that it began with; a run that began without a look is refused
        by `begin`, unless the engine shows no molecules.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        spread = None
        if self._resume and self.path.is_file():
            kept = read_facts(self.path).get("identity")
            spread = kept.get("brightness_spread") if isinstance(kept, dict) else None
        return spread if isinstance(spread, float) and 0 <= spread <= SPREAD_MAX else look()

    def begin(self, sinks: Sinks, identity: RunIdentity, check_network: Callable[[], None]) -> None:
        """Restore the sinks from the file if the run resumes; otherwise remove the file.

        Parameters
        ----------
        sinks : Sinks
            Empty sinks.
        identity : RunIdentity
            What must be equal for the run to continue.
        check_network : callable
            Raises a `ContractError` if servers have changed their network; called before
            each writing.

        Raises
        ------
        CheckpointError
            If the file is damaged or belongs to another run.
        """
        if self._resume and self.path.is_file():
            identity = self._restore(sinks, identity)
        elif self._resume:
            self._events.note(
                f"there is no {self.path.name} to resume from; starting at the first frame"
            )
        else:
            self.path.unlink(missing_ok=True)
        self._run = _Run(sinks, identity, check_network)
        self._due_s = time.monotonic() + self._every_s

    def keep(self) -> None:
        """Write the checkpoint if it is time to; called after each chunk.

        Raises
        ------
        ContractError
            If servers have changed their network.
        """
        if self._run is not None and time.monotonic() >= self._due_s:
            self._write(self._run)

    def results_are_written(self) -> None:
        """Remove the file, unless the image lacks chunks or another run has written it since."""
        if self._run is None or len(self._run.sinks.merged) < self._run.identity.requests:
            return
        self._run = None
        with contextlib.suppress(OSError):  # a file that is left does no harm
            if _file_key(self.path) == self._file:
                self.path.unlink()

    def write_part(self, path: Path, facts: Mapping[str, object]) -> None:
        """Write the sinks, as those of a part of the film, with these facts beside the run's.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self._run is None:
            raise ValueError("the run has not begun")
        write_partial(path, {**_facts_of(self._run), **facts}, self._run.sinks.by_name)

    def _restore(self, sinks: Sinks, identity: RunIdentity) -> RunIdentity:
        """Restore the sinks; the identity with the network that the file states."""
        facts = read_facts(self.path)
        kept = facts.get("identity")
        kept = kept if isinstance(kept, dict) else {}
        self._refuse_unlike(kept, identity)
        if not identity.network_sha256:  # an earlier run may know what this server does not state
            identity = replace(identity, network_sha256=str(kept.get("network_sha256", "")))
        merged = indices_of(facts.get("merged"), identity.indices, self.path)
        read_sinks(self.path, sinks.by_name)
        sinks.restore(merged)
        self._written, self._file = len(merged), _file_key(self.path)
        self._events.note(
            f"continuing from {self.path.name}: {len(merged):,} of {identity.requests:,} requests "
            "are done"
        )
        return identity

    def _refuse_unlike(self, kept: dict[str, Any], identity: RunIdentity) -> None:
        """Refuse the checkpoint of another run, and name the first difference."""
        for name, before, now in identity.differences(kept):
            if name == "film_sha256":
                raise CheckpointError(
                    f"{self.path} belongs to another film, or to other frames or another region "
                    "of it; expected the film of the interrupted run: name that film, or "
                    f"{_START_OVER}"
                )
            raise CheckpointError(
                f"{self.path} was begun with {name.replace('_', ' ')} {before or 'not stated'}, "
                f"this run has {now or 'not stated'}; use the same, or {_START_OVER}"
            )

    def _write(self, run: _Run) -> None:
        """Write; a full disk costs the run its checkpoint and nothing else."""
        if not run.sinks.whole:  # an interruption came while a chunk was added
            return
        started = time.monotonic()
        run.check_network()
        merged = run.sinks.merged
        try:
            facts = _facts_of(run)
            write_checkpoint(self.path, facts, run.sinks.by_name)
        except OutputError as error:
            if not self._complained:
                self._events.warning(f"the run has no checkpoint for --resume: {error}")
            self._complained = True
        else:
            self._written, self._file = len(merged), _file_key(self.path)
        now = time.monotonic()
        self._due_s = now + max(self._every_s, (now - started) / COST_SHARE)


def _file_key(path: Path) -> tuple[int, int] | None:
    """Inode and time, which distinguish a file from another of its name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _facts_of(run: _Run) -> dict[str, Any]:
    """The run and the requests that are merged, for JSON."""
    return {"identity": run.identity.as_dict(), "merged": ranges_of(run.sinks.merged)}


def ranges_of(indices: Iterable[int]) -> list[list[int]]:
    """Whole numbers as ranges, first and last (excluded)."""
    ranges: list[list[int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ranges


def indices_of(ranges: Any, allowed: range, path: Path) -> set[int]:
    """Indices of the requests that a file holds, written as ranges.

    Raises
    ------
    CheckpointError
        If they are not among those allowed.
    """
    try:
        if all(allowed.start <= first < last <= allowed.stop for first, last in ranges):
            return {index for first, last in ranges for index in range(first, last)}
    except (TypeError, ValueError):
        pass  # neither pairs nor numbers
    raise CheckpointError(f"{path} does not state which chunks it holds; {_START_OVER}")
