"""A strict CuPy without a GPU: its kernels are the real CUDA source, run by the host's compiler.

It has only what ``compute.gpu`` and ``serving.device`` need. A `DeviceArray` shows its values to
nobody but through ``get``, as memory of a GPU would; what CuPy would let through but a kernel
cannot take raises here, as does memory that another stream may still be working on. Threads run
one after the other, in an order without a rule.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

DEVICES = 2
"""This machine pretends to have two GPUs, so that the wrong one can be told from the right one."""

MEMORY_BYTES = 1 << 30
"""Memory of each GPU."""

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


class OutOfMemoryError(MemoryError):
    """What CuPy raises where a GPU's memory is full."""


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


class Stream:
    """A queue of work on the GPU that was current; the current one within a ``with`` block."""

    current: ClassVar[list[Stream]] = []

    def __init__(self, *, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking
        self.device = Device.current
        self._busy: list[_Use] = []

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        Stream.current.pop()

    def use(self, use: _Use) -> None:
        if self.device != Device.current:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle: a stream of another GPU")
        if use.by not in (None, self):
            raise CUDARuntimeError("a race: another stream may still be working on this memory")
        use.by = self
        self._busy.append(use)

    def synchronize(self) -> None:
        for use in self._busy:
            use.by = None
        self._busy.clear()


class _Use:
    """The stream whose work on an array and its views may not be done yet."""

    by: Stream | None = None


@functools.cache
def _default_stream(device: int) -> Stream:
    with Device(device):
        return Stream()


def get_current_stream() -> Stream:
    return Stream.current[-1] if Stream.current else _default_stream(Device.current)


class DeviceArray:
    """An array in the memory of a GPU, or a view of one."""

    def __init__(
        self, values: NDArray[Any], device: int | None = None, use: _Use | None = None
    ) -> None:
        self._values = values
        self._use = use or _Use()
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

    def __getitem__(self, key: Any) -> DeviceArray:
        return DeviceArray(self._values[key], self.device.id, self._use)

    def reshape(self, *shape: int) -> DeviceArray:
        return DeviceArray(self._values.reshape(*shape), self.device.id, self._use)

    def fill(self, value: int) -> None:
        self.on_current_stream()[...] = value

    def set(self, values: NDArray[Any]) -> None:
        _check_alike(self, values)
        self.on_current_stream()[...] = values

    def get(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """A copy, for which the current stream is waited for."""
        if out is None:
            out = np.empty(self.shape, self.dtype)
        elif not any(np.may_share_memory(out, block) for block in pinned):
            raise ValueError("a copy to memory that is not pinned is slow")
        _check_alike(self, out)
        out[...] = self.on_current_stream()
        get_current_stream().synchronize()
        copies.append(self.nbytes)
        return out

    def on_current_stream(self) -> NDArray[Any]:
        """The values, for work that the current stream does."""
        if self.device.id != Device.current:
            raise CUDARuntimeError("cudaErrorIllegalAddress: memory of another GPU")
        get_current_stream().use(self._use)
        return self._values


def _check_alike(there: DeviceArray, here: NDArray[Any]) -> None:
    if there.dtype != here.dtype or there.shape != here.shape or not here.flags.c_contiguous:
        raise TypeError(f"{here.dtype} {here.shape} is no copy of {there.dtype} {there.shape}")


class Capsule:
    """What ``__dlpack__`` gives: an array that is handed over, without a word on when."""

    def __init__(self, array: DeviceArray) -> None:
        self.array = array


copies: list[int] = []
"""Sizes in bytes of all copies from a GPU to the host."""

allocated: list[int] = []
"""Sizes in bytes of all memory that was taken on a GPU by ``empty``."""

pinned: list[NDArray[np.uint8]] = []
"""All pinned memory of the host."""


def empty(shape: int | tuple[int, ...], dtype: type) -> DeviceArray:
    """Filled with what no kernel would leave there."""
    values: NDArray[Any] = np.empty(shape, dtype)
    if values.nbytes > MEMORY_BYTES:
        raise OutOfMemoryError(f"Out of memory allocating {values.nbytes} bytes")
    ctypes.memset(values.ctypes.data, 0xFF, values.nbytes)
    allocated.append(values.nbytes)
    return DeviceArray(values)


def alloc_pinned_memory(size_bytes: int) -> memoryview:
    pinned.append(np.full(size_bytes, 0xFF, np.uint8))
    return pinned[-1].data


def asarray(values: NDArray[Any] | DeviceArray) -> DeviceArray:
    """On the current GPU, copied by its current stream."""
    if isinstance(values, DeviceArray):
        return values
    array = DeviceArray(np.array(values))
    array.on_current_stream()
    return array


def ascontiguousarray(values: DeviceArray) -> DeviceArray:
    if not isinstance(values, DeviceArray):
        raise TypeError(f"expected memory of a GPU, not {type(values).__name__}")
    there = values.on_current_stream()
    if there.flags.c_contiguous:
        return values
    copy = DeviceArray(there.copy(), values.device.id)
    copy.on_current_stream()
    return copy


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
        if not 0 < block[0] <= 1024 or grid[0] < 1:
            raise CUDARuntimeError("cudaErrorInvalidConfiguration: no such grid or block")
        given = [_argument(each) for each in arguments]
        self._dims["gridDim"].value, self._dims["blockDim"].value = grid[0], block[0]
        index, thread = self._dims["blockIdx"], self._dims["threadIdx"]
        for each in np.random.default_rng(0).permutation(grid[0] * block[0]).tolist():
            index.value, thread.value = divmod(each, block[0])
            self._function(*given)


def _argument(value: Any) -> Any:
    """A pointer to memory of the current GPU, or a number of a stated size."""
    if isinstance(value, DeviceArray):
        values = value.on_current_stream()
        if not values.flags.c_contiguous:
            raise ValueError("a kernel takes contiguous memory")
        return ctypes.c_void_p(values.ctypes.data)
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
    with pytest.MonkeyPatch.context() as patch:  # what else is imported meanwhile stays so
        patch.setitem(sys.modules, "cupy", _module())
        patch.delitem(sys.modules, name, raising=False)
        yield importlib.import_module(name)
    sys.modules.pop(name, None)
    for each in (copies, allocated, pinned):
        each.clear()


def _module() -> types.ModuleType:
    made = types.ModuleType("cupy")
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    made.__dict__.update(
        ndarray=DeviceArray,
        empty=empty,
        asarray=asarray,
        ascontiguousarray=ascontiguousarray,
        from_dlpack=from_dlpack,
        get_default_memory_pool=lambda: pool,
        get_default_pinned_memory_pool=lambda: pool,
        RawModule=RawModule,
        cuda=types.SimpleNamespace(
            Device=Device,
            Stream=Stream,
            alloc_pinned_memory=alloc_pinned_memory,
            get_current_stream=get_current_stream,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError),
        ),
    )
    return made
