"""FALCON's published parameter sets."""

from __future__ import annotations

from dataclasses import dataclass

BLOCK_FRAMES = 20
"""Frames that share their thresholds."""

EM_LOSS = 1.4
"""Square root of an EMCCD's excess noise, as FALCON has it: its photons are divided by it."""

FAINTEST = 0.05
"""Of the mean over frames of a frame's brightest: what is below is no molecule."""


@dataclass(frozen=True)
class FalconSettings:
    """One parameter set.

    Attributes
    ----------
    coarse_zoom, fine_zoom : int
        Nodes along a camera pixel, in the deconvolution and in the refinement.
    sparse_rounds, support_rounds, refine_rounds : int
        Iterations of the three steps.
    background_every, support_background_every : int
        Rounds between two estimates of the background, in the first two steps.
    background_from : int
        First round of the sparse step in which it is estimated anew.
    sparsity : float
        Weight of the l1 term, over the noise; raised where too much is found.
    coupling : float
        mu of the ADMM.
    """

    coarse_zoom: int
    fine_zoom: int
    sparse_rounds: int
    support_rounds: int
    refine_rounds: int
    background_every: int
    support_background_every: int
    background_from: int
    sparsity: float = 1.5
    coupling: float = 0.05


SPEEDS = {
    "fast": FalconSettings(2, 3, 300, 80, 25, 50, 40, 150),
    "normal": FalconSettings(3, 3, 500, 140, 20, 100, 70, 300),
    "slow": FalconSettings(3, 5, 600, 140, 30, 100, 70, 300),
}
"""By the names of the authors' release."""
