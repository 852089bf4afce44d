"""The folder and the shared memory of an embedded server, and what killed clients left of theirs.

Both have one name, which anyone on this machine can list: it holds no secret. Their contents are
for this user alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from smlm_pipeline.engines.server_process import end_orphans

_NAME = "smlm_recon"
"""Start of the names of a server's folder and memory; its client's process id follows."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's folder of it


def unused_folder() -> Path:
    """Name a folder that does not exist; its last part is also the prefix of shared memory."""
    return _temporary_folder() / f"{_NAME}_{os.getpid()}_{secrets.token_hex(4)}"


def make(folder: Path) -> None:
    """Make the folder, for this user alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)


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


def sweep() -> None:
    """Remove the processes, folders and shared memory of clients that were killed."""
    for folder in _temporary_folder().glob(f"{_NAME}_*_*"):
        client = folder.name.removeprefix(f"{_NAME}_").split("_")[0]
        if client.isdigit() and not Path(f"/proc/{client}").exists():
            end_orphans(folder.name)
            remove(folder)


def _temporary_folder() -> Path:
    """Return the system's folder for temporary files, or ``/tmp`` if Triton cannot use its name."""
    folder = tempfile.gettempdir()
    return Path("/tmp" if any(map(str.isspace, folder)) else folder)  # noqa: S108 - mode 0700
