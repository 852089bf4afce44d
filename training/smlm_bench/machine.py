"""The machine that something was measured on, in words."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import onnxruntime

from smlm_pipeline.compute.onnx_network import available_cpus


def machine() -> str:
    """Processor, threads, memory and versions; no name of the machine itself."""
    return (
        f"{available_cpus()} CPU threads of {_processor()}, {_memory()}, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}"
    )


def _processor() -> str:
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        told = None
    return told.group(1).strip() if told else platform.machine()


def _memory() -> str:
    try:
        told = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        told = None
    return f"{int(told.group(1)) / 2**20:.0f} GiB of memory" if told else "memory unknown"
