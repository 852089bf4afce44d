"""The gate of a plan: its answers are compared with its network's before a server may load it."""

from __future__ import annotations

import numpy as np

from smlm_pipeline.compute.reference import TOLERANCE, Reference, difference
from smlm_pipeline.deploy.plans.compiler import Executor
from smlm_pipeline.deploy.plans.profiles import Profile
from smlm_pipeline.errors import PlanError


def tolerance(precision: str, *, tf32: bool) -> float:
    """Return the accepted difference of a plan with this arithmetic."""
    return TOLERANCE["tf32" if tf32 and precision == "fp32" else precision]


def largest_difference(
    executor: Executor, reference: Reference, profiles: tuple[Profile, ...]
) -> float:
    """Measure the largest difference of a plan from its network, over all of its profiles.

    Each profile has its own kernels, so each answers the reference frames, repeated to as many
    as its usual request has.

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
        See `smlm_pipeline.compute.reference.difference`.
    """
    worst = 0.0
    for index, profile in enumerate(profiles):
        repeated = np.arange(profile.usual[0]) % len(reference.frames_adu)
        frames_adu, levels_adu = reference.frames_adu[repeated], reference.levels_adu[repeated]
        answers = executor.run(frames_adu, levels_adu, profile=index)
        worst = float(np.maximum(worst, difference(answers, reference.answers[repeated])))
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
