"""The facts of the sampled frames of a film that a user is interested in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.clipping import Clipping, clipping_of
from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.frame_kinds import frames_with_structure
from smlm_pipeline.compute.levels import spread_evenly


@dataclass(frozen=True)
class Sample:
    """Facts of the sampled frames, in the order of time.

    Attributes
    ----------
    frames : ndarray, shape (T,), int
        Their indices in the film.
    backgrounds_adu, scales_adu : ndarray, shape (T,), float32
        Their levels, in ADU.
    scale_errors : tuple of float
        Standard errors of the film's scales as shares of them; NaN where nothing blinks.
    dark : ndarray, shape (T,), bool
        Whether they have no structure, as behind a closed shutter.
    clipping : Clipping or None
        Where the camera clips, if it does.
    """

    frames: NDArray[np.intp]
    backgrounds_adu: NDArray[np.float32]
    scales_adu: NDArray[np.float32]
    scale_errors: tuple[float, ...]
    dark: NDArray[np.bool_]
    clipping: Clipping | None

    @property
    def scale_error(self) -> float:
        """The largest of the errors; NaN if nothing blinks in a part of the film."""
        return float(np.max(self.scale_errors))

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
    return Sample(
        frames,
        backgrounds_adu,
        conditioning.scales_adu(frames),
        tuple(segment.scale_error for segment in conditioning.segments),
        dark,
        clipping_of(frames_adu, usable),
    )
