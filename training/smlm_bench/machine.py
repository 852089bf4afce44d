"""The machine of a measurement, in words."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import onnxruntime

from smlm_pipeline.compute.processor import available_cpus, processor_name


def machine() -> str:
    """Describe this machine: processor, threads, memory and versions, without its name.

    Returns
    -------
    str
        One phrase.
    """
    return (
        f"{available_cpus()} CPU threads of {processor_name()}, {_memory()}, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}"
    )


def _memory() -> str:
    kib = _value("meminfo", r"^MemTotal:\s*(\d+)")
    return f"{int(kib) / 2**20:.0f} GiB of memory" if kib else "memory unknown"


def _value(name: str, pattern: str) -> str | None:
    """Search a file of ``/proc``; None where there is none."""
    try:
        match = re.search(pattern, Path("/proc", name).read_text(), re.MULTILINE)
    except OSError:
        return None
    return match.group(1).strip() if match else None
