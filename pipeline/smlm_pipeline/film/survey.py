"""Survey a film before its first chunk is sent: how its frames are prepared, and a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.brightness import scale_factor
from smlm_pipeline.compute.conditioning import Conditioning, condition
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.errors import FilmError, is_of_chunk
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.sample import Sample, sample_of
from smlm_pipeline.settings import LEVEL_PIXELS, Settings

FRAMES_MIN = 8
"""Frames of a sample, however large."""

GOLDEN_RATIO = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Survey:
    """What is known of a film before its first chunk is sent.

    ``conditioning`` prepares its frames, ``sample`` has the facts of the frames that were read.
    ``film_sha256`` identifies the film: it covers its size, the sampled frames, and which of two
    channels it is, if it is one. ``brightness_spread`` is that of the molecules' brightness, by
    which the scale was corrected; None where that was not looked at.
    """

    conditioning: Conditioning
    sample: Sample
    film_sha256: str
    brightness_spread: float | None = None

    def with_spread(self, spread: float | None) -> Survey:
        """The same with the nominal scale of molecules of such a spread of brightness, if any."""
        if spread is None:
            return self
        factor = scale_factor(spread)
        sample = replace(self.sample, scales_adu=self.sample.scales_adu * np.float32(factor))
        return replace(
            self,
            conditioning=self.conditioning.scaled(factor),
            sample=sample,
            brightness_spread=spread,
        )


def sampled_frames(
    frame_count: int, height_px: int, width_px: int, settings: Settings
) -> list[int]:
    """Choose frames spread over a film: all of a short one, fewer where frames are large.

    Their distances vary, lest they meet always the same frame of something periodic, such as a
    pulse of activation in every tenth. The sample is held in memory: at most ``LEVEL_PIXELS``
    pixels, but never fewer than ``FRAMES_MIN`` frames.
    """
    held = max(LEVEL_PIXELS // (height_px * width_px), FRAMES_MIN)
    most = min(settings.level_frames, held)
    if frame_count < 2 * most:
        return spread_evenly(frame_count, most)
    place = np.arange(most)
    chosen = ((place + place * GOLDEN_RATIO % 1) * frame_count / most).astype(int)
    frames: list[int] = chosen.tolist()
    return frames


def survey(film: Film, settings: Settings) -> Survey:
    """Read the `sampled_frames` of a film once.

    Raises
    ------
    FilmError
        If the film cannot be read; where the settings allow a partial image, if none of the
        sampled frames can, or the disk or share does not answer.
    """
    chosen = sampled_frames(film.frame_count, film.height_px, film.width_px, settings)
    frames_adu = np.empty((len(chosen), film.height_px, film.width_px), np.uint16)
    size = f"{film.frame_count},{film.height_px},{film.width_px}"
    digest = hashlib.sha256(f"{size}{film.selection.half or ''}".encode())
    kept: list[int] = []
    unread: FilmError | None = None
    for index in chosen:
        try:
            frames_adu[len(kept)] = film.read(index, index + 1)[0]
        except FilmError as error:
            if not (settings.allow_partial and is_of_chunk(error)):
                raise
            unread = error
            continue
        digest.update(f"{index},".encode() + frames_adu[len(kept)].tobytes())
        kept.append(index)
    if unread is not None and not kept:
        raise unread
    return _survey(frames_adu[: len(kept)], kept, film.frame_count, digest.hexdigest())


def conditioning_of(frames_adu: NDArray[np.uint16]) -> Conditioning:
    """How `survey` prepares the frames of a film by default, for a whole film in memory.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The whole film, in ADU.
    """
    count, height_px, width_px = frames_adu.shape
    chosen = sampled_frames(count, height_px, width_px, Settings())
    return condition(frames_adu[chosen], chosen, len(frames_adu))


def prepared(
    frames_adu: NDArray[np.uint16],
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """A whole film in memory as `run` sends it: see `Conditioning.apply`.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The whole film, in ADU.

    Returns
    -------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Its frames, without the pixels that show no picture.
    levels_adu : ndarray, shape (T, 2), float32
        Background and scale of each frame, in ADU.
    """
    return conditioning_of(frames_adu).apply(frames_adu, 0)


def _survey(
    frames_adu: NDArray[np.uint16], chosen: list[int], frame_count: int, sha256: str
) -> Survey:
    conditioning = condition(frames_adu, chosen, frame_count)
    return Survey(conditioning, sample_of(frames_adu, chosen, conditioning), sha256)
