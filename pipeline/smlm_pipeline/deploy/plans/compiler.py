"""The interface of a compiler of plans, which separates this package from TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.deploy.plans.key import Choices
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

    def run(self, normalized: NDArray[np.float32], *, profile: int) -> NDArray[np.float32]:
        """Answer frames (N, 1, H, W) with (N, C, H', W'), both float32."""
        ...


class Compiler(Protocol):
    """TensorRT on one kind of GPU."""

    version: str
    compute_capability: str
    gpu: str

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
        """Load a plan on the GPU; a ``PlanError`` if it does not fit it."""
        ...
