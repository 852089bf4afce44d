"""Plans that were built and passed, by what they depend on: a folder that containers share.

::

    CACHE/<sha256 of the key>/model.plan    and plan.json, renamed into place together
    CACHE/<sha256 of the key>.lock          held by whoever builds this plan
    CACHE/.building-<sha256 of the key>-*   not yet whole; the next builder removes a dead one's
    CACHE/timing-<TensorRT>-sm<GPU>.cache   which kernels are fast, for the next build

An entry is only read if its plan is the one that its sidecar tells of, to the last
byte. A lock ends with the process that holds it, so none is ever stale.
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
    gpu: str
    build_s: float
    activation_bytes: tuple[int, ...]
    largest_difference: float
    tolerance: float
    made_by: str

    def is_of(self, key: PlanKey, plan: bytes) -> bool:
        """Whether it tells of this very plan, built for this very key."""
        return key.as_dict() == self.key and self.plan_sha256 == sha256(plan)

    def as_json(self) -> bytes:
        """What the file holds."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def read_record(file: Path) -> Record | None:
    """The record in a file, or None where there is none that can be read."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**told, "activation_bytes": tuple(told["activation_bytes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


_STAGING_PREFIX = ".building-"


_SILENT_S = 1.0
"""How long a lock is waited for before that is told."""


@dataclass(frozen=True)
class Entry:
    """A plan that passed, and its record."""

    plan: bytes
    record: Record


class PlanCache:
    """Plans in a folder, which is made if need be.

    Parameters
    ----------
    folder : Path
        On a file system that knows locks.
    tell : callable
        Takes a line about what is being waited for.

    Raises
    ------
    OutputError
        If this user cannot write in it.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass

    @contextlib.contextmanager
    def locked(self, key: PlanKey) -> Iterator[None]:
        """Hold a key, so that of several processes one builds and the others wait for it.

        Raises
        ------
        PlanError
            If this system has no such locks.
        OutputError
            If this folder's file system has none, or the lock is another user's.
        """
        locks = _locks()
        with contextlib.ExitStack() as held:
            with self._writing():
                stream = held.enter_context((self._folder / f"{key.digest}.lock").open("wb"))
                self._wait_for(locks, stream)
            yield

    def _wait_for(self, locks: Any, stream: BinaryIO) -> None:
        """Lock a file; say so if that takes long, as it does while another builds."""
        silent_until_s = time.monotonic() + _SILENT_S
        while time.monotonic() < silent_until_s:
            with contextlib.suppress(BlockingIOError):
                locks.flock(stream, locks.LOCK_EX | locks.LOCK_NB)
                return
            time.sleep(_SILENT_S / 20)
        self._tell("waiting for another process that builds the same plan: minutes")
        locks.flock(stream, locks.LOCK_EX)

    def find(self, key: PlanKey) -> Entry | None:
        """The plan of a key, if it is there and whole."""
        entry = self._folder / key.digest
        record = read_record(entry / PLAN_RECORD)
        try:
            plan = (entry / PLAN_FILE).read_bytes()
        except OSError:
            return None
        return Entry(plan, record) if record and record.is_of(key, plan) else None

    def store(self, key: PlanKey, entry: Entry) -> None:
        """Keep a plan, in place of whatever had its name; hold the key meanwhile.

        Raises
        ------
        OutputError
            If there is no room.
        """
        prefix = f"{_STAGING_PREFIX}{key.digest}-"
        with self._writing():
            for left in self._folder.glob(f"{prefix}*"):
                shutil.rmtree(left)  # of a process that was killed, or it would hold the key
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
        """Forget the plan of a key, if there is one; hold the key meanwhile.

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
        """What builds with this TensorRT on such a GPU have learnt; empty if that is not to be had.

        A build without it takes longer and is no other.
        """
        try:
            return self._timing_file(key).read_bytes()
        except OSError:
            return b""

    def keep_timing_cache(self, key: PlanKey, content: bytes) -> None:
        """Replace it; of two builds at once the later one's is kept."""
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
        name = f"timing-{key.tensorrt_version}-sm{key.compute_capability}.cache"
        return self._folder / name


def _locks() -> Any:
    """Python's module for them, which is on Unix only."""
    try:
        import fcntl
    except ModuleNotFoundError as error:
        raise PlanError(
            "plans are built where the server runs, on Linux; this system cannot lock files"
        ) from error
    return fcntl


def replace_file(file: Path, content: bytes) -> None:
    """Write beside and rename, so that a reader sees the old file or the new one, whole."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    os.close(descriptor)
    beside = Path(name)
    try:
        write_durably(beside, content)
        beside.chmod(0o644)  # Triton's user is another than the one that builds
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write_durably(file: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
