"""What is learnt from a film before its first chunk is sent: its levels and its mean."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import kernels
from smlm_pipeline.errors import StackError
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

    def sha256(self, stack: Stack) -> str:
        """Stands for the film: its size, its levels and its mean, hence its sampled frames."""
        size = f"{stack.frame_count},{stack.height_px},{stack.width_px}".encode()
        return hashlib.sha256(
            size + self.levels_adu.tobytes() + self.mean_adu.tobytes()
        ).hexdigest()


def survey(stack: Stack, settings: Settings) -> Survey:
    """Read a sample of whole frames, evenly spread over the film, once.

    The mean takes one frame at a time. Levels need their frames together, so
    they come from fewer, and from fewer still of large ones.

    Raises
    ------
    StackError
        If the film cannot be read; where the settings allow a partial image, if none of the
        sampled frames can.
    """
    chosen = kernels.spread_evenly(stack.frame_count, settings.mean_frames)
    pixels = stack.height_px * stack.width_px
    most = min(settings.level_frames, max(LEVEL_PIXELS // pixels, kernels.TEMPORAL_FRAMES_MIN))
    leveled = set(kernels.spread_evenly(len(chosen), most))
    sample = np.empty((len(leveled), stack.height_px, stack.width_px), np.uint16)
    total = np.zeros((stack.height_px, stack.width_px), np.int64)
    seen = taken = 0
    unread: StackError | None = None
    for place, index in enumerate(chosen):
        try:
            frame_adu = stack.read(index, index + 1)[0]
        except StackError as error:
            if not settings.allow_partial:
                raise
            unread = error
            continue
        total += frame_adu
        seen += 1
        if place in leveled:
            sample[taken] = frame_adu
            taken += 1
    if unread is not None and not taken:
        raise unread
    return Survey(kernels.film_levels(sample[:taken]), (total / seen).astype(np.float32))
