"""The processor of this machine: its name, its CPUs, and whether it computes in bfloat16."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""Instructions of x86-64 that compute in bfloat16, as Linux calls them."""


def available_cpus() -> int:
    """Count the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The processor's own name, or the kind of machine where there is none."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; true where it does not state them.

    Linux states them. Elsewhere the engine decides.
    """
    flags = _cpuinfo("flags")
    return flags is None or not BF16_FLAGS.isdisjoint(flags.split())


def _cpuinfo(name: str) -> str | None:
    """Read a line of the first processor in ``/proc/cpuinfo``; None where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else None
