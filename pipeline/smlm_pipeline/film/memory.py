"""Check the memory that a film's frames take before any of them is read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.formats.source import Source
from smlm_pipeline.film.selection import View

UNKNOWN_MACHINE_BYTES = 8 << 30
"""Assumed for a machine that does not report its memory."""

OPENING_SHARE = 0.5
"""Share of the machine's memory that one frame may take where no limit is given."""

_CONVERTED_BYTES = {"u": 2, "i": 24, "f": 24}
"""Bytes of a pixel while its value becomes a count, by the kind of type: floats take copies."""


def machine_bytes() -> int:
    """Memory of this machine, or of the container that this process is held in."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            sizes.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return min((size for size in sizes if size > 0), default=UNKNOWN_MACHINE_BYTES)


def check_memory(path: Path, source: Source, view: View, limit_bytes: int | None) -> int:
    """Refuse a film of which one frame takes more memory than there may be.

    A small file can hold large frames or chunks, as compression has no bound.

    Parameters
    ----------
    path : Path
        The film.
    source : Source
        Its reader.
    view : View
        The selected region.
    limit_bytes : int or None
        The most memory; by default a share of this machine's.

    Returns
    -------
    int
        The source's `decoded_bytes`.

    Raises
    ------
    FilmError
        If a frame takes more.
    """
    pixels = (view.y.stop - view.y.start) * (view.x.stop - view.x.start)
    converted = _CONVERTED_BYTES.get(source.dtype.kind, 0) + source.dtype.itemsize
    needed, decoded = pixels * converted, source.decoded_bytes
    limit = limit_bytes or int(OPENING_SHARE * machine_bytes())
    if decoded + needed > limit:
        takes = f"takes {_gib(decoded + needed)} of memory to read one frame"
        allowed = f"--memory allows {_gib(limit)}" if limit_bytes else f"at most {_gib(limit)} fit"
        remedy = "save it with smaller frames or chunks, or uncompressed, or use more memory"
        raise refusal(path, f"{takes}, and {allowed}", remedy)
    return decoded


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB"
