"""The device that the summations compute on: the host, or a GPU.

One repository serves both. The environment variable ``RECON_DEVICE`` selects the device:

``auto``
    A summation computes where the network's answers are. The default.
``gpu``
    It computes on the GPU. Answers that reach it in host memory are an error and a metric: they
    show that the server's CUDA pool is too small.
``cpu``
    It computes on the host.

Its own answers are in host memory on every device.
"""

from __future__ import annotations

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
    """Reads the backend's tensors in the memory that they are in.

    ``requires_gpu`` states whether the network's answers have to be on the GPU.

    Parameters
    ----------
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
        self, args: Mapping[str, str], environment: Mapping[str, str] = os.environ
    ) -> None:
        kind = environment.get(VARIABLE, KINDS[0])
        if kind not in KINDS:
            raise SettingError(f"{VARIABLE} is {kind!r}; expected one of {', '.join(KINDS)}")
        self._kind = kind
        self.requires_gpu = kind == "gpu"
        self._gpu_id = int(args["model_instance_device_id"])
        if self.requires_gpu:
            self._warm_up()

    def _warm_up(self) -> None:
        """Compile the kernels now rather than while a client waits."""
        cupy, kernels = _cupy(), gpu_kernels()
        try:
            with cupy.cuda.Device(self._gpu_id):
                kernels.compile_kernels()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f"{VARIABLE} is 'gpu', but GPU {self._gpu_id} cannot be used ({error}); give "
                f"the server a GPU, or start it with {VARIABLE}=cpu and --model-config-name=cpu"
            ) from error

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


def gpu_kernels() -> Any:
    """Import ``smlm_pipeline.compute.gpu``, which needs CuPy.

    Raises
    ------
    DeviceError
        If CuPy is not installed.
    """
    _cupy()
    return importlib.import_module("smlm_pipeline.compute.gpu")


def gpu_of(answers: Any) -> Any:
    """Return the `smlm_pipeline.compute.gpu.Gpu` that the answers, an array of CuPy, are on.

    Raises
    ------
    DeviceError
        If CuPy is not installed.
    """
    return gpu_kernels().gpu_of(answers)


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            "a tensor is or should be on the GPU, but CuPy cannot be imported; install "
            "'smlm-recon[gpu]' where the server's Python finds it"
        ) from error
