"""The facts of the sampled frames of a film that a user is interested in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.clipping import Clipping
from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.frame_kinds import frames_with_structure
from smlm_pipeline.compute.levels import spread_evenly

SPACED_FRAMES = 10
"""Sampled frames that are so far apart are taken to show other molecules."""


@dataclass(frozen=True)
class Sample:
    """Facts of the sampled frames, in the order of time.

    Attributes
    ----------
    frames : ndarray, shape (T,), int
        Their indices in the film.
    backgrounds_adu, scales_adu : ndarray, shape (T,), float32
        Their levels, in ADU.
    scale_error : float or None
        Standard error of the film's scale as a share of it, the largest of several scales; None
        where nothing blinks in a part of the film.
    long_enough : bool
        Whether the frames are enough to tell for how long molecules shine, on which scales rest.
    dark : ndarray, shape (T,), bool
        Whether they have no structure, as behind a closed shutter.
    clipping : Clipping or None
        Where the camera clips, if it does.
    """

    frames: NDArray[np.intp]
    backgrounds_adu: NDArray[np.float32]
    scales_adu: NDArray[np.float32]
    scale_error: float | None
    long_enough: bool
    dark: NDArray[np.bool_]
    clipping: Clipping | None

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
    scale_error = float(np.max([segment.scale_error for segment in conditioning.segments]))
    spaced = len(frames) > 1 and np.ptp(frames) >= SPACED_FRAMES * (len(frames) - 1)
    return Sample(
        frames,
        backgrounds_adu,
        conditioning.scales_adu(frames),
        None if math.isnan(scale_error) else scale_error,
        bool(spaced) or all(segment.long_enough for segment in conditioning.segments),
        dark,
        conditioning.clipping,
    )
