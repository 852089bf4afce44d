"""The device that ``normalize`` and the summations compute on: the host, or a GPU.

One repository serves both. The environment variable ``RECON_DEVICE`` selects the device:

``auto``
    Each step computes where its input is. The default.
``gpu``
    All steps compute on the GPU. Detections that reach a summation in host memory
    are an error and a metric: they show that the server's CUDA pool is too small.
``cpu``
    All steps compute on the host.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import DeviceError, SettingError

VARIABLE = "RECON_DEVICE"
"""Environment variable of the server that selects the device."""

KINDS = ("auto", "gpu", "cpu")


class Device:
    """Reads and writes the backend's tensors in the memory that they are in.

    ``requires_gpu`` states whether everything has to be on the GPU.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``.
    args : mapping
        The arguments of ``initialize``.
    environment : mapping
        Variables, ``RECON_DEVICE`` among them.

    Raises
    ------
    SettingError
        If the variable has an unknown value.
    DeviceError
        If it is ``gpu``, and CuPy or the GPU is missing.
    """

    def __init__(
        self, backend: Any, args: Mapping[str, str], environment: Mapping[str, str] = os.environ
    ) -> None:
        kind = environment.get(VARIABLE, KINDS[0])
        if kind not in KINDS:
            raise SettingError(f"{VARIABLE} is {kind!r}; expected one of {', '.join(KINDS)}")
        self._backend = backend
        self._kind = kind
        self.requires_gpu = kind == "gpu"
        self._gpu_id = int(args["model_instance_device_id"])
        if self.requires_gpu:
            self.warm_up()

    def warm_up(self) -> None:
        """Compile the kernels now rather than while a client waits.

        Raises
        ------
        DeviceError
            If CuPy or the GPU is missing.
        """
        cupy, kernels = _cupy(), gpu_kernels()
        try:
            with self.selected():
                kernels.compile_kernels()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f"{VARIABLE} is 'gpu', but GPU {self._gpu_id} cannot be used ({error}); give "
                f"the server a GPU, or start it with {VARIABLE}=cpu and --model-config-name=cpu"
            ) from error

    def selected(self) -> contextlib.AbstractContextManager[Any]:
        """Make the GPU of this instance the current one within a ``with`` block."""
        gpu: contextlib.AbstractContextManager[Any] = _cupy().cuda.Device(self._gpu_id)
        return gpu

    def read(self, tensor: Any) -> Any:
        """Return a tensor's values without a copy: an array of NumPy, or of CuPy on a GPU.

        Raises
        ------
        DeviceError
            If they are on a GPU of a server without one, or CuPy is missing.
        """
        if tensor.is_cpu():
            return tensor.as_numpy()
        if self._kind == "cpu":
            raise DeviceError(
                f"{tensor.name()} lies on a GPU, but {VARIABLE} is 'cpu': start the server with "
                "--model-config-name=cpu, or leave the variable out"
            )
        return _cupy().from_dlpack(tensor)

    def read_on_host(self, tensor: Any) -> NDArray[Any]:
        """Return a small tensor's values in host memory, copied if need be."""
        values = self.read(tensor)
        on_host: NDArray[Any] = values if isinstance(values, np.ndarray) else values.get()
        return on_host

    def write(self, name: str, array: Any) -> Any:
        """Return the backend's tensor of an array, in the same memory.

        The array is passed as an object, not as a capsule: only then does the backend wait for
        pending computations.
        """
        if isinstance(array, np.ndarray):
            return self._backend.Tensor(name, array)
        return self._backend.Tensor.from_dlpack(name, array)


def gpu_kernels() -> Any:
    """Import ``smlm_pipeline.compute.gpu``, which needs CuPy.

    Raises
    ------
    DeviceError
        If CuPy is not installed.
    """
    _cupy()
    return importlib.import_module("smlm_pipeline.compute.gpu")


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            "a tensor is or should be on the GPU, but CuPy cannot be imported; install "
            "'smlm-recon[gpu]' where the server's Python finds it"
        ) from error
