"""Memory that was freed is kept for the next use, where the C library is glibc."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's parameters (``man 3 mallopt``)."""

_LARGE_BYTES = 32 << 20
"""Size from which memory comes from the kernel each time; messages and arrays are smaller."""

KEPT_BYTES = 64 << 20
"""Freed memory that a client keeps in each arena: arrays of a request and its answer, and more."""


def keep_freed_memory(most_bytes: int = KEPT_BYTES) -> None:
    """Let this process keep so much freed memory in each of glibc's arenas.

    By default glibc returns arrays of a few megabytes to the kernel when they are freed, and a
    new one's pages, which the kernel fills with zeros one by one, cost more than what is computed
    in them: on a virtual machine ten times as much. Other C libraries are left alone.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, most_bytes)
