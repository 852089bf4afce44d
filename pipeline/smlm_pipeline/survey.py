"""What is learnt from a film before its first chunk is sent: its levels and its mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import kernels
from smlm_pipeline.settings import LEVEL_PIXELS, Settings
from smlm_pipeline.stack import Stack


@dataclass(frozen=True)
class Survey:
    """What every chunk of a film is sent with.

    ``levels_adu`` (2,) float32 is the film's background and scale, ``mean_adu``
    (Y, X) float32 the mean of its frames.
    """

    levels_adu: NDArray[np.float32]
    mean_adu: NDArray[np.float32]


def survey(stack: Stack, settings: Settings) -> Survey:
    """Read a sample of whole frames, evenly spread over the film, once.

    The mean takes one frame at a time. Levels need their frames together, so
    they come from fewer, and from fewer still of large ones.

    Raises
    ------
    StackError
        If the film cannot be read.
    """
    chosen = kernels.spread_evenly(stack.frame_count, settings.mean_frames)
    pixels = stack.height_px * stack.width_px
    most = min(settings.level_frames, max(LEVEL_PIXELS // pixels, kernels.TEMPORAL_FRAMES_MIN))
    leveled = set(kernels.spread_evenly(len(chosen), most))
    sample = np.empty((len(leveled), stack.height_px, stack.width_px), np.uint16)
    total = np.zeros((stack.height_px, stack.width_px), np.int64)
    taken = 0
    for place, index in enumerate(chosen):
        frame_adu = stack.read(index, index + 1)[0]
        total += frame_adu
        if place in leveled:
            sample[taken] = frame_adu
            taken += 1
    mean_adu = (total / len(chosen)).astype(np.float32)
    return Survey(kernels.film_levels(sample), mean_adu)
