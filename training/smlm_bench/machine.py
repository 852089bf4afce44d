"""The machine of a measurement, in words."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

from smlm_pipeline.compute.processor import available_cpus, has_bf16, processor_name


def machine() -> str:
    """Describe this machine: processor, threads, memory and versions, without its name.

    Returns
    -------
    str
        One phrase.
    """
    return (
        f"{available_cpus()} CPU threads of {processor_name()} {_bfloat16()}, "
        f"{memory_bytes() / 2**30:.0f} GiB of memory, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}"
    )


def memory_bytes() -> int:
    """The machine's memory; 0 where the system does not state it as Linux does."""
    kib = _value("meminfo", r"^MemTotal:\s*(\d+)")
    return int(kib) << 10 if kib else 0


def _bfloat16() -> str:
    """How the processor computes in bfloat16, which decides the speed of OpenVINO."""
    if not has_bf16():
        return "without bfloat16"
    return "with AMX" if _value("cpuinfo", r"^flags.*\b(amx_bf16)\b") else "with bfloat16, no AMX"


def _value(name: str, pattern: str) -> str | None:
    """Search a file of ``/proc``; None where there is none."""
    try:
        match = re.search(pattern, Path("/proc", name).read_text(), re.MULTILINE)
    except OSError:
        return None
    return match.group(1).strip() if match else None
