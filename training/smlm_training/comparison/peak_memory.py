"""The most memory that this process has held."""

from __future__ import annotations

import re
from pathlib import Path

from smlm_pipeline.errors import ReconError


def peak_kib() -> int:
    """Of this process, in KiB; ``ru_maxrss`` would be that of its parent, if that was larger.

    Raises
    ------
    ReconError
        Where the system does not tell, as on anything but Linux.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        found = None
    if found is None:
        raise ReconError("this system does not tell its processes' peak memory; expected Linux")
    return int(found.group(1))
