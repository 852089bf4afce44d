"""A strict CuPy without a GPU: its kernels are the real CUDA source, run by the host's compiler.

It has only what ``compute.gpu`` and ``serving.device`` need. A `DeviceArray` shows its values to
nobody but through ``get``, as memory of a GPU would; what CuPy would let through but a kernel
cannot take raises here. Threads run one after the other.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import itertools
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

DEVICES = 2
"""This machine pretends to have two GPUs, so that the wrong one can be told from the right one."""

_CUDA_IN_CPP = """
#include <cmath>
struct Dim { unsigned x; };
extern "C" { Dim blockIdx, threadIdx, gridDim, blockDim; }
#define __global__
#define __device__ static
static int atomicAdd(int *to, int value) { int before = *to; *to += value; return before; }
"""


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where there is no such GPU."""


class Device:
    """A GPU by its number; the current one within a ``with`` block."""

    current = 0

    def __init__(self, number: int) -> None:
        if not 0 <= number < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = number
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *_: object) -> None:
        Device.current = self._before.pop()


class DeviceArray:
    """An array in the memory of a GPU."""

    def __init__(self, values: NDArray[Any], device: int | None = None) -> None:
        self._values = values
        self.device = Device(Device.current if device is None else device)
        self.shape, self.dtype, self.size = values.shape, values.dtype, values.size
        self.nbytes = values.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *_: object) -> NDArray[Any]:
        raise TypeError("implicit conversion to a NumPy array is not allowed; use get()")

    def __dlpack__(self, stream: int | None = None) -> Capsule:
        return Capsule(self)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id

    def get(self) -> NDArray[Any]:
        copies.append(self.nbytes)
        return self._values.copy()


class Capsule:
    """What ``__dlpack__`` gives: an array that is handed over, without a word on when."""

    def __init__(self, array: DeviceArray) -> None:
        self.array = array


copies: list[int] = []
"""Sizes in bytes of all copies from a GPU to the host."""


def empty(shape: tuple[int, ...], dtype: type) -> DeviceArray:
    """Filled with what no kernel would leave there."""
    values: NDArray[Any] = np.empty(shape, dtype)
    values.view(np.uint8).fill(0xFF)
    return DeviceArray(values)


def zeros(shape: int | tuple[int, ...], dtype: type) -> DeviceArray:
    return DeviceArray(np.zeros(shape, dtype))


def asarray(values: NDArray[Any] | DeviceArray) -> DeviceArray:
    return values if isinstance(values, DeviceArray) else DeviceArray(np.array(values))


def ascontiguousarray(values: DeviceArray) -> DeviceArray:
    if not isinstance(values, DeviceArray):
        raise TypeError(f"expected memory of a GPU, not {type(values).__name__}")
    return DeviceArray(np.ascontiguousarray(values._values), values.device.id)


def from_dlpack(given: Any) -> DeviceArray:
    if given.__dlpack_device__()[0] != 2:
        raise BufferError("cannot take memory of the host")
    array: DeviceArray = given.__dlpack__().array
    return array


class RawModule:
    """The kernels of a source, compiled by the host's compiler."""

    def __init__(self, *, code: str, options: Sequence[str]) -> None:
        if "--fmad=false" not in options:
            raise ValueError("multiply-add would round otherwise than NumPy")
        self._library = _compiled(code)

    def get_function(self, name: str) -> Kernel:
        return Kernel(self._library, name)


class Kernel:
    """One kernel; called with a grid, a block and its arguments."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self._function = getattr(library, name)
        self._function.restype = None
        self._dims = {
            each: ctypes.c_uint.in_dll(library, each)
            for each in ("blockIdx", "threadIdx", "gridDim", "blockDim")
        }

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
        given = [_argument(each) for each in arguments]
        self._dims["gridDim"].value, self._dims["blockDim"].value = grid[0], block[0]
        for index, thread in itertools.product(range(grid[0]), range(block[0])):
            self._dims["blockIdx"].value, self._dims["threadIdx"].value = index, thread
            self._function(*given)


def _argument(value: Any) -> Any:
    """A pointer to memory of the current GPU, or a number of a stated size."""
    if isinstance(value, DeviceArray):
        if value.device.id != Device.current:
            raise CUDARuntimeError("cudaErrorIllegalAddress: memory of another GPU")
        if not value._values.flags.c_contiguous:
            raise ValueError("a kernel takes contiguous memory")
        return ctypes.c_void_p(value._values.ctypes.data)
    if not isinstance(value, np.int32 | np.float32 | np.float64):
        raise TypeError(f"the size of {value!r} is not stated; pass a scalar of NumPy")
    kinds: dict[type, Any] = {
        np.int32: ctypes.c_int32,
        np.float32: ctypes.c_float,
        np.float64: ctypes.c_double,
    }
    return kinds[type(value)](value.item())


@functools.cache
def _compiled(code: str) -> ctypes.CDLL:
    if COMPILER is None:
        pytest.skip("there is no C++ compiler to run the CUDA source with")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        source.write_text(_CUDA_IN_CPP + code)
        flags = ["-O1", "-ffp-contract=off", "-Wall", "-Werror", "-shared", "-fPIC"]
        subprocess.run([COMPILER, *flags, str(source), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))


@contextlib.contextmanager
def installed() -> Iterator[types.ModuleType]:
    """``compute.gpu`` over this CuPy, which every import of ``cupy`` gets meanwhile."""
    name = "smlm_pipeline.compute.gpu"
    with mock.patch.dict(sys.modules, {"cupy": _module()}):
        sys.modules.pop(name, None)
        yield importlib.import_module(name)


def _module() -> types.ModuleType:
    made = types.ModuleType("cupy")
    made.__dict__.update(
        ndarray=DeviceArray,
        empty=empty,
        zeros=zeros,
        asarray=asarray,
        ascontiguousarray=ascontiguousarray,
        from_dlpack=from_dlpack,
        RawModule=RawModule,
        cuda=types.SimpleNamespace(
            Device=Device, runtime=types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError)
        ),
    )
    return made
