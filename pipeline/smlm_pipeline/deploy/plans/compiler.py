"""The interface of a compiler of plans, which separates this package from TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.deploy.plans.key import Choices, Gpu
from smlm_pipeline.deploy.plans.profiles import Profile


@dataclass(frozen=True)
class Compiled:
    """A plan, and the timings of kernels; these are empty if the compiler returns none."""

    plan: bytes
    timing_cache: bytes


class Executor(Protocol):
    """A loaded plan.

    ``activation_bytes`` is the memory that each profile's context holds beside the
    weights; empty where an executor has no profiles.
    """

    activation_bytes: tuple[int, ...]

    def run(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32], *, profile: int
    ) -> NDArray[np.float32]:
        """Answer frames (N, H, W), with their levels (N, 2), by (N, C, H', W')."""
        ...


class Compiler(Protocol):
    """TensorRT on one kind of GPU."""

    version: str
    gpu: Gpu

    def compile(
        self,
        network: bytes,
        profiles: Sequence[Profile],
        choices: Choices,
        timing_cache: bytes,
    ) -> Compiled:
        """Build the plan of an ONNX file; a ``PlanError`` where that fails."""
        ...

    def load(self, plan: bytes) -> Executor:
        """Load a plan on the GPU.

        A ``GpuMemoryError`` if its memory does not suffice now; another ``PlanError`` if the
        plan does not fit this GPU or TensorRT.
        """
        ...
