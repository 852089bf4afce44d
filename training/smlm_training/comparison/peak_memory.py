"""The most memory that processes have held."""

from __future__ import annotations

import re
from pathlib import Path

from smlm_pipeline.errors import ReconError


def peak_kib(pid: int | str = "self") -> int:
    """Of a process, by default this one, in KiB.

    ``ru_maxrss`` would be that of its parent, if that was larger.

    Raises
    ------
    ReconError
        Where the system does not tell, as on anything but Linux, or the process is gone.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        found = None
    if found is None:
        raise ReconError("this system does not tell its processes' peak memory; expected Linux")
    return int(found.group(1))


def peak_kib_of_all(pid: int) -> int:
    """Of a process and all that it started, added up; pages that they share count in each.

    Raises
    ------
    ReconError
        As ``peak_kib``.
    """
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError as error:
        raise ReconError(f"process {pid} does not tell what it started: {error}") from error
    return peak_kib(pid) + sum(peak_kib_of_all(child) for child in children)
