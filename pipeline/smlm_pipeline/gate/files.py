"""Whether a file has changed since it was read."""

from __future__ import annotations

from pathlib import Path


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None for one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
