"""The folder and the shared memory of an embedded server, and what killed clients left of theirs.

Both have one name, which anyone on this machine can list: it holds no secret. Their contents are
for this user alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

from smlm_pipeline.engines.server_process import end_orphans

_NAME = "smlm_recon"
"""Start of the names of a server's folder and memory; its client's process id follows."""

_LOCK, _YOUNG_S = "lock", 5.0
"""Name of the file in a server's folder that its client has locked, and the time that it takes a
client at most to make it."""

_locks: dict[Path, int] = {}
"""The locks of this process."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's folder of it


def unused_folder() -> Path:
    """Name a folder that does not exist; its last part is also the prefix of shared memory."""
    return _temporary_folder() / f"{_NAME}_{os.getpid()}_{secrets.token_hex(4)}"


def make(folder: Path) -> None:
    """Make the folder, for this user alone, and lock it for as long as this process lives."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    file = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    if _locked(file):
        _locks[folder] = file
    else:
        os.close(file)


def close_memory(folder: Path) -> None:
    """Take the right to read a server's shared memory from other users: it holds frames.

    Triton's processes have opened it by then, and it has its contents later.
    """
    for segment in _SHARED_MEMORY.glob(f"{folder.name}*"):
        with contextlib.suppress(OSError):
            segment.chmod(0o600)


def remove(folder: Path) -> None:
    """Remove a server's folder and the shared memory of the same name."""
    for segment in _SHARED_MEMORY.glob(f"{folder.name}*"):
        with contextlib.suppress(OSError):
            segment.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    if folder in _locks:
        os.close(_locks.pop(folder))


def sweep() -> None:
    """Remove the processes, folders and shared memory of clients that were killed."""
    for folder in _temporary_folder().glob(f"{_NAME}_*_*"):
        client = folder.name.removeprefix(f"{_NAME}_").split("_")[0]
        if client.isdigit() and not Path(f"/proc/{client}").exists() and _is_abandoned(folder):
            end_orphans(folder.name)
            remove(folder)


def _is_abandoned(folder: Path) -> bool:
    """Whether no process has locked the folder.

    A folder for temporary files may be that of other machines, or containers, too, whose processes
    are not seen here.
    """
    try:
        if time.time() - folder.stat().st_mtime < _YOUNG_S and not (folder / _LOCK).exists():
            return False  # it is being made
        file = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        return False
    try:
        return _locked(file)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    """Lock an open file, unless another process has; its end unlocks it."""
    if sys.platform == "win32":  # where the server does not run
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked; or of a file system without locks, whose folders stay
        return False
    return True


def _temporary_folder() -> Path:
    """Return the system's folder for temporary files, or ``/tmp`` if Triton cannot use its name."""
    folder = tempfile.gettempdir()
    return Path("/tmp" if any(map(str.isspace, folder)) else folder)  # noqa: S108 - mode 0700
