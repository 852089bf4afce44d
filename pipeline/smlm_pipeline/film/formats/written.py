"""Find out how much of a file was written: a copy that was interrupted may have its full size."""

from __future__ import annotations

import functools
from pathlib import Path

_BLOCK_BYTES, _FIRST_BLOCK_BYTES = 1 << 16, 1 << 9


def written_bytes(path: Path, least_bytes: int) -> int:
    """Size of a file without the zeros at its end, where these are at least ``least_bytes``.

    Some programs reserve the whole file before they copy, so that a copy that was interrupted
    ends in zeros. No frame of a camera is all zeros.

    Parameters
    ----------
    path : Path
        The file.
    least_bytes : int
        Fewer zeros are part of the content; the size of a frame, say.
    """
    status = path.stat()
    return _written_bytes(path, status.st_size, status.st_mtime_ns, max(least_bytes, 1))


@functools.lru_cache(maxsize=256)
def _written_bytes(path: Path, size_bytes: int, _time_ns: int, least_bytes: int) -> int:
    end, block = size_bytes, _FIRST_BLOCK_BYTES
    with path.open("rb") as file:
        while end > 0:
            start = max(end - block, 0)
            file.seek(start)
            content = file.read(end - start).rstrip(b"\0")
            if content:
                end = start + len(content)
                break
            end, block = start, _BLOCK_BYTES
    return end if size_bytes - end >= least_bytes else size_bytes


def zeros_at_the_end(content: bytes) -> int:
    """Number of zero bytes at the end, as those of a black border."""
    return len(content) - len(content.rstrip(b"\0"))
