"""NVIDIA's own compiler takes ``gpu.cu``, for every GPU that serves, without one here.

NVRTC comes from a wheel and needs neither a GPU nor a driver. What the kernels compute is in
``tests/compute/test_gpu.py``.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from fakes import cupy_on_host

ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)
"""Turing to Blackwell: what Triton's images of 2026 run on."""


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    spec = importlib.util.find_spec("nvidia")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = sorted(file for place in places for file in Path(place).glob("*/lib/libnvrtc.so.*"))
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed: no wheel for this platform")
    return ctypes.CDLL(str(found[0]))


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    with cupy_on_host.installed() as module:
        return module


def _ptx(nvrtc: ctypes.CDLL, source: str, options: Sequence[str]) -> str:
    """The program in NVIDIA's assembler, or a failure with the compiler's words."""
    program = ctypes.c_void_p()
    name = b"gpu.cu"
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name, 0, None, None)
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), given)
    log = _text(nvrtc, "ProgramLog", program)
    assert status == 0, log
    assert not log.strip("\0 \n"), log  # a warning is a mistake here
    return _text(nvrtc, "PTX", program)


def _text(nvrtc: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw.decode()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_compiles_to_the_kernels_that_are_called(
    nvrtc: ctypes.CDLL, gpu: ModuleType, architecture: int
) -> None:
    ptx = _ptx(nvrtc, gpu.source(), [*gpu.OPTIONS, f"--gpu-architecture=sm_{architecture}"])
    assert set(re.findall(r"\.entry (\w+)\(", ptx)) == set(gpu.KERNELS)


def test_it_rounds_as_numpy_does(nvrtc: ctypes.CDLL, gpu: ModuleType) -> None:
    """No multiply-add, no approximation, no flushing of small numbers; integer atomics."""
    ptx = _ptx(nvrtc, gpu.source(), [*gpu.OPTIONS, "--gpu-architecture=compute_80"])
    operations = set(re.findall(r"^\s+(?:@\S+\s+)?([a-z][\w.]+)", ptx, re.MULTILINE))
    assert {"mul.rn.f32", "add.rn.f32"} <= operations
    floats = {each for each in operations if each.endswith((".f32", ".f64"))}
    assert not [each for each in floats if re.search(r"fma|mad|approx|ftz", each)]
    atomics = [each for each in operations if each.startswith(("atom", "red"))]
    assert atomics
    assert all(re.search(r"\.(s32|u32)$", each) for each in atomics)
