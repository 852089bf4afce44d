"""Where ``normalize`` and the summations compute: on the host, or on the GPU.

One repository serves both, so a deployment says by the environment variable
``RECON_DEVICE`` what it is:

``auto``
    Each step computes where its input lies. The default.
``gpu``
    All steps compute on the GPU, and detections that reach a summation in host memory
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
"""Environment variable of the server by which a deployment says what it runs on."""

KINDS = ("auto", "gpu", "cpu")


class Placement:
    """Reads and writes the backend's tensors where they lie.

    ``demands_gpu`` tells whether the deployment demands that everything is on the GPU.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``, which only exists inside the server.
    args : mapping
        What Triton gives to ``initialize``.
    environment : mapping
        Where ``RECON_DEVICE`` is looked up.

    Raises
    ------
    SettingError
        If the variable has a value of its own.
    DeviceError
        If it says ``gpu`` and CuPy or the GPU is missing.
    """

    def __init__(
        self, backend: Any, args: Mapping[str, str], environment: Mapping[str, str] = os.environ
    ) -> None:
        kind = environment.get(VARIABLE, KINDS[0])
        if kind not in KINDS:
            raise SettingError(f"{VARIABLE} is {kind!r}; expected one of {', '.join(KINDS)}")
        self._backend = backend
        self._kind = kind
        self.demands_gpu = kind == "gpu"
        self._device_id = int(args["model_instance_device_id"])
        if self.demands_gpu:
            self.warm_up()

    def warm_up(self) -> None:
        """Compile the kernels now rather than while a client waits.

        Raises
        ------
        DeviceError
            If CuPy or the GPU is missing.
        """
        cupy, compiled = _cupy(), kernels_of_device()
        try:
            with self.device():
                compiled.compile_kernels()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f"{VARIABLE} is 'gpu', but GPU {self._device_id} cannot be used ({error}); give "
                f"the server a GPU, or start it with {VARIABLE}=cpu and --model-config-name=cpu"
            ) from error

    def device(self) -> contextlib.AbstractContextManager[Any]:
        """The GPU of this instance, as the current one within a ``with`` block."""
        device: contextlib.AbstractContextManager[Any] = _cupy().cuda.Device(self._device_id)
        return device

    def read(self, tensor: Any) -> Any:
        """A tensor's values where they lie, without a copy: NumPy's or CuPy's array.

        Raises
        ------
        DeviceError
            If they lie on a GPU on a deployment without one, or CuPy is missing.
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
        """A small tensor's values in host memory, wherever it lies."""
        values = self.read(tensor)
        found: NDArray[Any] = values if isinstance(values, np.ndarray) else values.get()
        return found

    def write(self, name: str, array: Any) -> Any:
        """The backend's tensor of an array, where that lies.

        The array goes as an object, not as a capsule: only then does the backend wait for
        what is still being computed.
        """
        if isinstance(array, np.ndarray):
            return self._backend.Tensor(name, array)
        return self._backend.Tensor.from_dlpack(name, array)


def kernels_of_device() -> Any:
    """The module `device_kernels`, which needs CuPy.

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
