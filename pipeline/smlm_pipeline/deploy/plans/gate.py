"""Whether a plan answers as its network does, before a server may load it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.reference import Reference
from smlm_pipeline.deploy.plans.compiler import Executor
from smlm_pipeline.deploy.plans.profiles import Profile
from smlm_pipeline.errors import PlanError

TOLERANCE = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 1e-2}
"""Largest difference that is accepted, as a share of the largest value of the same channel.

Estimates, not yet measured on a GPU. For FP32 it is what an export may differ from Keras.
Factors in TF32 and all values in FP16 have 11 significant bits; making the
`unet` that ships FP16 moved its answers by 1.6e-3 in ONNX Runtime, and a GPU adds up
in another order."""

_SMALLEST_SCALE = 1e-6
"""Divisor for a channel that is zero everywhere."""


def tolerance(precision: str, *, tf32: bool) -> float:
    """What a plan of this arithmetic may differ by."""
    return TOLERANCE["tf32" if tf32 and precision == "fp32" else precision]


def largest_difference(
    executor: Executor, reference: Reference, profiles: tuple[Profile, ...]
) -> float:
    """How far a plan is from its network, over all of its profiles.

    Each profile has kernels of its own, so each answers the reference frames,
    repeated to a whole batch.

    Parameters
    ----------
    executor : Executor
        The loaded plan.
    reference : Reference
        Frames and the network's answers.
    profiles : tuple of Profile
        The plan's, in order.

    Returns
    -------
    float
        As a share of the largest value of the same channel; infinite if a plan
        answers in another shape, not a number if it answers that.
    """
    scale = np.abs(reference.answers).max(axis=(0, 2, 3), keepdims=True)
    scale = np.maximum(scale, np.float32(_SMALLEST_SCALE))
    worst = 0.0
    for index, profile in enumerate(profiles):
        frames = _repeated(reference.normalized, profile.usual[0])
        expected = _repeated(reference.answers, profile.usual[0])
        found = executor.run(frames, profile=index)
        if found.shape != expected.shape:
            return float("inf")
        worst = float(np.maximum(worst, (np.abs(found - expected) / scale).max()))
    return worst


def check(difference: float, allowed: float, *, model: str) -> None:
    """Let a plan pass or not.

    Raises
    ------
    PlanError
        If it differs by more than is allowed, or by something that is no number.
    """
    if not difference <= allowed:
        raise PlanError(
            f"the plan of {model} answers the reference frames up to {difference:.2g} of a "
            f"channel's largest value away from its network; expected at most {allowed:.0e}. It "
            "is not put into the repository; report it with the GPU and the version of TensorRT"
        )


def _repeated(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The first axis, over and over up to ``count``, whole at least once."""
    places = np.arange(max(count, len(values))) % len(values)
    repeated: NDArray[np.float32] = values[places]
    return repeated
