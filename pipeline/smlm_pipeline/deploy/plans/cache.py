"""A folder of plans that were built and passed the gate, by their keys; containers may share it.

::

    CACHE/<sha256 of the key>/model.plan    and plan.json, renamed into place together
    CACHE/<sha256 of the key>.lock          held by the process that builds this plan
    CACHE/.building-<sha256 of the key>-*   not yet whole; the next builder removes a dead one's
    CACHE/timing-<TensorRT and GPU>.cache   timings of kernels, for the next build

An entry is only read if its record is of this very plan, to the last byte. A lock ends
with the process that holds it, so none is ever stale.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from smlm_pipeline.deploy.plans.key import PlanKey, sha256
from smlm_pipeline.errors import OutputError, PlanError
from smlm_pipeline.model_repository import PLAN_FILE, PLAN_RECORD

fcntl: Any
try:
    import fcntl
except ModuleNotFoundError:  # not on Unix
    fcntl = None


@dataclass(frozen=True)
class Record:
    """A plan's provenance; ``key`` is that of ``PlanKey.as_dict``.

    ``largest_difference`` and ``tolerance`` are shares of a channel's largest value,
    see ``gate``; ``activation_bytes`` has one number a profile.
    """

    model: str
    key: dict[str, Any]
    plan_sha256: str
    plan_bytes: int
    build_s: float
    activation_bytes: tuple[int, ...]
    largest_difference: float
    tolerance: float
    made_by: str

    def is_of(self, key: PlanKey, plan: bytes) -> bool:
        """Whether it is the record of this very plan, built for this very key."""
        return key.as_dict() == self.key and self.plan_sha256 == sha256(plan)

    def as_json(self) -> bytes:
        """Return the contents of the file."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def read_record(file: Path) -> Record | None:
    """Read the record in a file; None if there is none that can be read."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**fields, "activation_bytes": tuple(fields["activation_bytes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


_STAGING_PREFIX = ".building-"


_SILENT_S = 1.0
"""Wait for a lock after which a message is printed."""


@dataclass(frozen=True)
class Entry:
    """A plan that passed the gate, and its record."""

    plan: bytes
    record: Record


class PlanCache:
    """Plans in a folder, which is created if it is missing.

    Parameters
    ----------
    folder : Path
        On a file system that can lock files.
    note : callable
        Takes a line about the process that is waited for.

    Raises
    ------
    OutputError
        If this user cannot write in it.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self._folder, self._note = folder, note
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass

    @contextlib.contextmanager
    def locked(self, key: PlanKey) -> Iterator[None]:
        """Lock a key, so that of several processes one builds and the others wait for it.

        Raises
        ------
        PlanError
            If this system cannot lock files.
        OutputError
            If this folder's file system cannot, or the lock is another user's.
        """
        locks = _locks()
        with contextlib.ExitStack() as held:
            with self._writing():
                stream = held.enter_context((self._folder / f"{key.digest}.lock").open("wb"))
                self._wait_for(locks, stream)
            yield

    def _wait_for(self, locks: Any, stream: BinaryIO) -> None:
        """Lock a file, with a message if that takes long, as it does while another builds."""
        silent_until_s = time.monotonic() + _SILENT_S
        while time.monotonic() < silent_until_s:
            with contextlib.suppress(BlockingIOError):
                locks.flock(stream, locks.LOCK_EX | locks.LOCK_NB)
                return
            time.sleep(_SILENT_S / 20)
        self._note("waiting for another process that builds the same plan: minutes")
        locks.flock(stream, locks.LOCK_EX)

    def find(self, key: PlanKey) -> Entry | None:
        """Return the plan of a key, if it is present and whole."""
        entry = self._folder / key.digest
        record = read_record(entry / PLAN_RECORD)
        try:
            plan = (entry / PLAN_FILE).read_bytes()
        except OSError:
            return None
        return Entry(plan, record) if record and record.is_of(key, plan) else None

    def store(self, key: PlanKey, entry: Entry) -> None:
        """Keep a plan, in place of an earlier one of its key; the key has to be locked.

        Raises
        ------
        OutputError
            If there is no room.
        """
        prefix = f"{_STAGING_PREFIX}{key.digest}-"
        with self._writing():
            for left in self._folder.glob(f"{prefix}*"):
                shutil.rmtree(left)  # of a process that was killed: a living one holds the lock
        with (
            self._writing(),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=prefix) as staging,
        ):
            staged = Path(staging) / "entry"
            staged.mkdir()
            write_durably(staged / PLAN_FILE, entry.plan)
            write_durably(staged / PLAN_RECORD, entry.record.as_json())
            self._remove(key)
            staged.rename(self._folder / key.digest)

    def drop(self, key: PlanKey) -> None:
        """Remove the plan of a key, if there is one; the key has to be locked.

        Raises
        ------
        OutputError
            If it belongs to another user.
        """
        with self._writing():
            self._remove(key)

    def _remove(self, key: PlanKey) -> None:
        place = self._folder / key.digest
        if place.exists():
            shutil.rmtree(place)

    def timing_cache(self, key: PlanKey) -> bytes:
        """Return the timings of earlier builds with this TensorRT on such a GPU, or empty bytes.

        Without them a build takes longer, and gives the same plan.
        """
        try:
            return self._timing_file(key).read_bytes()
        except OSError:
            return b""

    def keep_timing_cache(self, key: PlanKey, content: bytes) -> None:
        """Replace the timings; of two builds at once the later one's are kept."""
        with self._writing():
            replace_file(self._timing_file(key), content)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"the plan cache {self._folder} cannot be written to ({error.strerror}); expected "
                "a folder of this user, with room for plans, on a file system that can lock files: "
                "name another with --cache"
            ) from error

    def _timing_file(self, key: PlanKey) -> Path:
        return self._folder / f"timing-{key.timings}.cache"


def _locks() -> Any:
    """Return Python's module for locks, which exists on Unix only."""
    if fcntl is None:
        raise PlanError(
            "plans are built where the server runs, on Linux; this system cannot lock files"
        )
    return fcntl


def replace_file(file: Path, content: bytes) -> None:
    """Write to another file and rename it, so that readers see the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    os.close(descriptor)
    beside = Path(name)
    try:
        write_durably(beside, content)
        beside.chmod(0o644)  # Triton may run as another user than the builder
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write_durably(file: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
