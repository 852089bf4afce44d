"""The facts of the sampled frames of a film that a user is interested in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.frame_kinds import frames_with_structure
from smlm_pipeline.compute.levels import spread_evenly

CLIPPED_SHARE_MIN, CLIPPED_PEAK = 1e-5, 8
"""The largest value is where the camera clips, if it has this share of the values, and so many
times as many as each of the sixteen below it has on average."""


@dataclass(frozen=True)
class Sample:
    """Facts of the sampled frames, in the order of time.

    Attributes
    ----------
    frames : ndarray, shape (T,), int
        Their indices in the film.
    backgrounds_adu, scales_adu : ndarray, shape (T,), float32
        Their levels, in ADU.
    dark : ndarray, shape (T,), bool
        Whether they have no structure, as behind a closed shutter.
    clipped_adu, clipped_share
        The value at which the camera clips, and the share of values there; None and 0 if none.
    """

    frames: NDArray[np.intp]
    backgrounds_adu: NDArray[np.float32]
    scales_adu: NDArray[np.float32]
    dark: NDArray[np.bool_]
    clipped_adu: int | None
    clipped_share: float

    @property
    def background_adu(self) -> float:
        """The usual background, in ADU."""
        return float(np.median(self.backgrounds_adu[self._lit]))

    @property
    def scale_adu(self) -> float:
        """The usual scale, in ADU."""
        return float(np.median(self.scales_adu[self._lit]))

    def levels(self, most: int) -> tuple[NDArray[np.intp], dict[str, list[float]]]:
        """Places of at most so many sampled frames, and their levels for JSON."""
        places = np.array(spread_evenly(len(self.frames), most), np.intp)
        return self.frames[places], {
            "background_adu": [round(float(value), 2) for value in self.backgrounds_adu[places]],
            "scale_adu": [round(float(value), 2) for value in self.scales_adu[places]],
        }

    @property
    def _lit(self) -> NDArray[np.bool_]:
        return ~self.dark if not self.dark.all() else self.dark


def sample_of(
    frames_adu: NDArray[np.uint16], chosen: list[int], conditioning: Conditioning
) -> Sample:
    """Collect the facts of sampled frames (T, Y, X), whose indices are ``chosen``."""
    frames = np.array(chosen, np.intp)
    backgrounds_adu = conditioning.backgrounds_adu(frames_adu)
    usable = ~conditioning.faults.any_of
    dark = ~frames_with_structure(frames_adu, backgrounds_adu, usable)
    clipped_adu, clipped_share = _clipped(frames_adu, usable)
    return Sample(
        frames,
        backgrounds_adu,
        conditioning.scales_adu(frames),
        dark,
        clipped_adu,
        clipped_share,
    )


def _clipped(frames_adu: NDArray[np.uint16], usable: NDArray[np.bool_]) -> tuple[int | None, float]:
    """The value at which the camera clips, and the share of values there."""
    largest = max((int(frame[usable].max(initial=0)) for frame in frames_adu), default=0)
    at, below = 0, 0
    for frame in frames_adu:
        at += np.count_nonzero((frame == largest) & usable)
        below += np.count_nonzero((frame < largest) & (frame >= largest - 16) & usable)
    share = at / max(usable.sum() * len(frames_adu), 1)
    peak = at >= CLIPPED_PEAK * max(below / 16, 1)
    if largest < 17 or not CLIPPED_SHARE_MIN <= share < 0.5 or not peak:
        return None, 0.0
    return largest, float(share)
