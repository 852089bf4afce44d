"""Find the GPUs of this machine and open TensorRT, which is imported only then."""

from __future__ import annotations

import importlib
from typing import Any

from smlm_pipeline.deploy.plans.tensorrt import TensorRT
from smlm_pipeline.errors import PlanError

_REMEDY = (
    "run it in the server's container (docker/, on a machine with an NVIDIA GPU), or install the "
    "TensorRT of the Triton release that will load the plan (pip install tensorrt) and CuPy "
    "(pip install cupy-cuda12x or cupy-cuda13x)"
)


def open_tensorrt() -> TensorRT:
    """Open the compiler for the GPUs that are visible to this process.

    Raises
    ------
    PlanError
        If TensorRT, CuPy or a GPU is missing, or the GPUs are of several kinds.
    """
    trt, cupy = _module("tensorrt"), _module("cupy")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise PlanError(f"no GPU to build a plan on ({error}); {_REMEDY}") from error
    kinds = {_kind(cupy, index) for index in range(count)}
    capabilities = sorted({capability for _, capability in kinds})
    if len(capabilities) != 1:
        raise PlanError(
            f"{count} GPUs of compute capability {' and '.join(capabilities) or '-'} are visible; "
            "a plan fits one kind, so expected GPUs of one: start a server for each kind, with "
            "CUDA_VISIBLE_DEVICES"
        )
    names = ", ".join(sorted({name for name, _ in kinds}))
    return TensorRT(trt, cupy, gpu=names, compute_capability=capabilities[0])


def _kind(cupy: Any, index: int) -> tuple[str, str]:
    """Return the name and the compute capability of a GPU."""
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    return properties["name"].decode(), f"{properties['major']}.{properties['minor']}"


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PlanError(
            f"a TensorRT plan needs the Python package {name}, which cannot be imported here "
            f"({error}); {_REMEDY}"
        ) from error
