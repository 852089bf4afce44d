"""Whether a file has changed since it was read."""

from __future__ import annotations

from pathlib import Path


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written, replaced or made readable; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
