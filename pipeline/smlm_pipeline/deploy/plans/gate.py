"""The gate of a plan: its answers are compared with its network's before a server may load it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.reference import Reference
from smlm_pipeline.deploy.plans.compiler import Executor
from smlm_pipeline.deploy.plans.profiles import Profile
from smlm_pipeline.errors import PlanError

TOLERANCE = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 1e-2}
"""Largest accepted difference, as a share of the largest value of the same channel.

Estimates, not yet measured on a GPU. That of FP32 is the accepted difference of an export from
Keras. Factors in TF32 and all values in FP16 have 11 significant bits; in FP16 the answers
of the shipped `unet` change by 1.6e-3 in ONNX Runtime, and a GPU adds up in another order."""

_SMALLEST_SCALE = 1e-6
"""Divisor for a channel that is zero everywhere."""


def tolerance(precision: str, *, tf32: bool) -> float:
    """Return the accepted difference of a plan with this arithmetic."""
    return TOLERANCE["tf32" if tf32 and precision == "fp32" else precision]


def largest_difference(
    executor: Executor, reference: Reference, profiles: tuple[Profile, ...]
) -> float:
    """Measure the largest difference of a plan from its network, over all of its profiles.

    Each profile has its own kernels, so each answers the reference frames, repeated to a
    whole batch.

    Parameters
    ----------
    executor : Executor
        The loaded plan.
    reference : Reference
        Frames and the network's answers.
    profiles : tuple of Profile
        Profiles of the plan, in order.

    Returns
    -------
    float
        As a share of the largest value of the same channel; infinite if a plan's answer has
        another shape, and not a number if it contains one that is none.
    """
    scale = np.abs(reference.answers).max(axis=(0, 2, 3), keepdims=True)
    scale = np.maximum(scale, np.float32(_SMALLEST_SCALE))
    worst = 0.0
    for index, profile in enumerate(profiles):
        frames = _repeated(reference.normalized, profile.usual[0])
        expected = _repeated(reference.answers, profile.usual[0])
        answers = executor.run(frames, profile=index)
        if answers.shape != expected.shape:
            return float("inf")
        worst = float(np.maximum(worst, (np.abs(answers - expected) / scale).max()))
    return worst


def check(difference: float, allowed: float, *, model: str) -> None:
    """Check the difference of a plan.

    Raises
    ------
    PlanError
        If it is larger than is allowed, or not a number.
    """
    if not difference <= allowed:
        raise PlanError(
            f"the plan of {model} answers the reference frames up to {difference:.2g} of a "
            f"channel's largest value away from its network; expected at most {allowed:.0e}. It "
            "is not put into the repository; report it with the GPU and the version of TensorRT"
        )


def _repeated(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Repeat the first axis up to ``count``, and at least once in full."""
    places = np.arange(max(count, len(values))) % len(values)
    repeated: NDArray[np.float32] = values[places]
    return repeated
