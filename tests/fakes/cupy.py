"""A stand-in for the parts of CuPy that the plan builder uses; its device is the host's memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

allocated: dict[int, NDArray[Any]] = {}
"""Arrays on the device, by address: they live as long as the test process."""


class ndarray:  # noqa: N801 - CuPy's name
    """On the device: only ``asnumpy`` brings it back."""

    def __init__(self, array: NDArray[Any]) -> None:
        address = array.ctypes.data
        allocated[address] = array
        self.data = SimpleNamespace(ptr=address)


def asarray(array: NDArray[Any]) -> ndarray:
    if not array.flags.c_contiguous:
        raise AssertionError("TensorRT reads the array as it lies in memory")
    return ndarray(array.copy())


def empty(shape: tuple[int, ...], dtype: Any) -> ndarray:
    return ndarray(np.full(shape, np.nan, dtype))


def asnumpy(array: ndarray) -> NDArray[Any]:
    return allocated[array.data.ptr].copy()


class CUDARuntimeError(RuntimeError):
    pass


class _Device:
    def synchronize(self) -> None: ...


class _Stream:
    ptr = 7

    def __init__(self, *, non_blocking: bool) -> None: ...

    def synchronize(self) -> None: ...


class OutOfMemoryError(MemoryError):
    pass


GPUS: list[dict[str, Any]] = [
    {"name": b"NVIDIA A10", "major": 8, "minor": 6, "multiProcessorCount": 72}
]

FREE_BYTES, TOTAL_BYTES = 23 << 30, 24 << 30
"""What the GPU says of its memory."""


def _device_count() -> int:
    if not GPUS:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return len(GPUS)


cuda = SimpleNamespace(
    Device=_Device,
    Stream=_Stream,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    runtime=SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=_device_count,
        getDeviceProperties=lambda index: GPUS[index],
        memGetInfo=lambda: (FREE_BYTES, TOTAL_BYTES),
    ),
)
