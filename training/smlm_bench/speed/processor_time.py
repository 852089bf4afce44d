"""Processor time of processes, from ``/proc``, on Linux."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from smlm_pipeline.errors import ReconError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_s(pid: int | str) -> float:
    """Seconds of processor time that a process has used, its children's not included.

    Raises
    ------
    ReconError
        If the system does not report it, as on anything but Linux, or the process is gone.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise ReconError(f"no processor time of process {pid}: expected Linux") from error
    user, system = after_name[11:13]
    return (int(user) + int(system)) / _TICKS_PER_S


def server_cpu_s(pid: int) -> dict[str, float]:
    """Processor time of a Triton server: its own, and of each model's process.

    Parameters
    ----------
    pid : int
        The server's process.

    Returns
    -------
    dict
        Seconds by ``"Triton"``, or the name of the model.

    Raises
    ------
    ReconError
        As `cpu_s`.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    spent["Triton"] = cpu_s(pid)
    for child in _children(pid):
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        models = [Path(word).parents[1].name for word in words if word.endswith("/model.py")]
        spent[models[0] if models else "Triton"] += cpu_s(child)
    return dict(spent)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
