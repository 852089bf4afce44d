"""Plans that were built and passed, by what they depend on: a folder that containers share.

::

    CACHE/<sha256 of the key>/model.plan    and plan.json, renamed into place together
    CACHE/<sha256 of the key>.lock          held by whoever builds this plan
    CACHE/timing-<TensorRT>-sm<GPU>.cache   which kernels are fast, for the next build

An entry is only read if its plan is the one that its sidecar tells of, to the last
byte. A lock ends with the process that holds it, so none is ever stale.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.errors import OutputError, PlanError
from smlm_pipeline.plans.key import PlanKey
from smlm_pipeline.plans.sidecar import SIDECAR_FILE, Record, read_record

PLAN_FILE = "model.plan"

_STAGING_PREFIX = ".building-"


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

    Raises
    ------
    OutputError
        If this user cannot write in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        """
        try:
            import fcntl
        except ModuleNotFoundError as error:
            raise PlanError(
                "plans are built where the server runs, on Linux; this system cannot lock files"
            ) from error
        with (self._folder / f"{key.digest}.lock").open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def find(self, key: PlanKey) -> Entry | None:
        """The plan of a key, if it is there and whole."""
        entry = self._folder / key.digest
        record = read_record(entry / SIDECAR_FILE)
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
        place = self._folder / key.digest
        with (
            self._writing(),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=_STAGING_PREFIX) as staging,
        ):
            staged = Path(staging) / "entry"
            staged.mkdir()
            write_durably(staged / PLAN_FILE, entry.plan)
            write_durably(staged / SIDECAR_FILE, entry.record.as_json())
            self.drop(key)
            staged.rename(place)

    def drop(self, key: PlanKey) -> None:
        """Forget the plan of a key, if there is one; hold the key meanwhile."""
        place = self._folder / key.digest
        if place.exists():
            shutil.rmtree(place)

    def timing_cache(self, key: PlanKey) -> bytes:
        """What builds with this TensorRT on such a GPU have learnt; empty to begin with."""
        try:
            return self._timing_file(key).read_bytes()
        except FileNotFoundError:
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
                "a folder of this user with room for plans: name another with --cache"
            ) from error

    def _timing_file(self, key: PlanKey) -> Path:
        name = f"timing-{key.tensorrt_version}-sm{key.compute_capability}.cache"
        return self._folder / name


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
