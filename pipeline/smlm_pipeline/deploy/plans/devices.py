"""Find the GPU of this process and open TensorRT, which is imported only then."""

from __future__ import annotations

import importlib
from typing import Any

from smlm_pipeline.deploy.plans.key import Gpu
from smlm_pipeline.deploy.plans.tensorrt import TensorRT
from smlm_pipeline.errors import DeviceError, PlanError

_REMEDY = (
    "run it in the server's container (docker/, on a machine with an NVIDIA GPU), or install the "
    "TensorRT of the Triton release that will load the plan (pip install tensorrt) and CuPy "
    "(pip install cupy-cuda12x or cupy-cuda13x)"
)


def open_tensorrt() -> TensorRT:
    """Open the compiler for the GPU that is visible to this process.

    Raises
    ------
    PlanError
        If TensorRT, CuPy or a GPU is missing.
    DeviceError
        If several GPUs are visible.
    """
    trt, cupy = _module("tensorrt"), _module("cupy")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise PlanError(f"no GPU to build a plan on ({error}); {_REMEDY}") from error
    if count != 1:
        raise DeviceError(
            f"{count} GPUs are visible; expected one, since Triton does not keep the steps of an "
            "ensemble on one GPU: start a server for each, with docker's --gpus device=0 or with "
            "CUDA_VISIBLE_DEVICES=0"
        )
    return TensorRT(trt, cupy, _gpu(cupy))


def _gpu(cupy: Any) -> Gpu:
    """Describe the visible GPU, or the visible slice of one."""
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return Gpu(
        name=properties["name"].decode(),
        compute_capability=f"{properties['major']}.{properties['minor']}",
        multiprocessors=int(properties["multiProcessorCount"]),
    )


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PlanError(
            f"a TensorRT plan needs the Python package {name}, which cannot be imported here "
            f"({error}); {_REMEDY}"
        ) from error
