"""Prepare frames for the network: replace pixels that show no picture, and find the levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.background_shape import BackgroundShape, even_background
from smlm_pipeline.compute.clipping import Clipping, clipping_of, without_clipping
from smlm_pipeline.compute.levels import (
    NOISE_PER_SCALE,
    Segment,
    frame_backgrounds,
    noise_of,
    scale_segments,
    spread_evenly,
    usual_scale_adu,
)
from smlm_pipeline.compute.pixel_faults import MAP_FRAMES, PixelFaults, find_faults, grown
from smlm_pipeline.compute.pixel_repair import PixelRepair

BACKGROUND_PIXELS = 1 << 14
"""Most pixels of a frame that give its background: its error is then 0.02 of their noise."""

BLOCK_FRAMES = 32
"""Frames of a sample that are prepared at once."""

FILLED_SHARE = 0.1
"""More than this share of a frame, beyond twice the usual one, is not filled if it is whole."""

BEAD_SCALES = 2.0
"""A pixel that is always brighter than so many scales belongs to a bead, or to a bright cell."""

BEAD_REACH_PX = 4
"""Reach of a bead's light; what is bright over more than twice that is no bead."""


@dataclass(frozen=True)
class Conditioning:
    """How the frames of one film are prepared; `condition` makes it.

    ``faults`` are the pixels that show no picture; they are replaced, those of wide areas by the
    frame's background and ``above_adu``, which is how far the usual dark pixel lies above it.
    ``segments`` give the film's scale by the index of its frames, ``shape`` is an uneven
    background, which is subtracted; None if it is even. ``clipping`` is where the camera clips,
    if it does; no frame is changed by that.
    """

    faults: PixelFaults
    above_adu: float
    segments: tuple[Segment, ...]
    shape: BackgroundShape | None = None
    clipping: Clipping | None = None

    def apply(
        self, frames_adu: NDArray[np.uint16], first_frame: int
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Prepare consecutive frames; each is prepared the same in whatever chunk it comes.

        Parameters
        ----------
        frames_adu : ndarray, shape (N, Y, X), uint16
            Whole frames of the film, in ADU.
        first_frame : int
            Index of the first of them in the film.

        Returns
        -------
        frames_adu : ndarray, shape (N, Y, X), uint16
            The frames, with all pixels replaced that show no picture.
        levels_adu : ndarray, shape (N, 2), float32
            Background and scale of each frame, in ADU.
        """
        even_adu = frames_adu if self.shape is None else self.shape.even(frames_adu)
        levels_adu = np.empty((len(frames_adu), 2), np.float32)
        levels_adu[:, 0] = self._lowest(even_adu)
        levels_adu[:, 1] = self.scales_adu(np.arange(first_frame, first_frame + len(frames_adu)))
        dark_adu = np.rint(levels_adu[:, 0] + self.above_adu)
        return self._repair.apply(even_adu, dark_adu.astype(np.uint16)), levels_adu

    def backgrounds_adu(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Background of each whole frame, (N,) in ADU, from pixels that show the picture."""
        backgrounds_adu = np.empty(len(frames_adu), np.float32)
        for first in range(0, len(frames_adu), BLOCK_FRAMES):  # few at a time: they are copied
            block = frames_adu[first : first + BLOCK_FRAMES]
            even_adu = block if self.shape is None else self.shape.even(block)
            backgrounds_adu[first : first + len(block)] = self._lowest(even_adu)
        return backgrounds_adu

    def _lowest(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
        values = frames_adu.reshape(len(frames_adu), -1)[:, self._places]
        return frame_backgrounds(values, self.faults.fill_adu)

    def scales_adu(self, frames: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scale of the frames with these indices, in ADU."""
        ends = [segment.last for segment in self.segments[:-1]]
        scales = np.array([segment.scale_adu for segment in self.segments], np.float32)
        return scales[np.searchsorted(ends, frames, side="right")]

    def scaled(self, factor: float) -> Conditioning:
        """The same with scales that are so many times as large."""
        return replace(self, segments=tuple(each.scaled(factor) for each in self.segments))

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Pixels (Y, X) of wide areas without a picture, where nothing is to be drawn."""
        return self._repair.blank

    @cached_property
    def _places(self) -> NDArray[np.intp] | slice:
        """Pixels that give the background: spread over the picture's rows and columns."""
        if self.faults.any_of.size <= BACKGROUND_PIXELS and not self.faults.any_of.any():
            return slice(None)
        places = np.flatnonzero(~self.faults.any_of)
        step = -(-len(places) // BACKGROUND_PIXELS)
        return places[:: step + 1 - step % 2]  # an odd step goes through all columns

    @cached_property
    def _repair(self) -> PixelRepair:
        return PixelRepair.of(self.faults)


def levels_with_scale(frames_adu: NDArray[np.uint16], scale_adu: float) -> NDArray[np.float32]:
    """Levels of frames all of whose pixels show the picture, under one scale.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16
        Whole frames, in ADU.
    scale_adu : float
        The scale of their film, in ADU.

    Returns
    -------
    ndarray, shape (N, 2), float32
        Background and scale of each frame, in ADU.
    """
    none = np.zeros(frames_adu.shape[1:], bool)
    faults, segment = PixelFaults(none, none, none, None), Segment(0, len(frames_adu), scale_adu)
    _, levels_adu = Conditioning(faults, 0.0, (segment,)).apply(frames_adu, 0)
    return levels_adu


def condition(sample_adu: NDArray[np.uint16], sample: list[int], frame_count: int) -> Conditioning:
    """Find the pixels that show no picture and the scale of a film from a sample of its frames.

    Parameters
    ----------
    sample_adu : ndarray, shape (T, Y, X), uint16
        Frames, evenly spread over the film, in ADU.
    sample : list of int
        Their indices in the film.
    frame_count : int
        Frames of the film.

    Returns
    -------
    Conditioning
        How all frames of the film are prepared.
    """
    faults = find_faults(sample_adu)
    bare = Conditioning(faults, 0.0, (Segment(0, frame_count, 1.0),))
    backgrounds_adu = bare.backgrounds_adu(sample_adu)
    filled, whole = _filled(sample_adu, faults.fill_adu)
    usable = ~faults.any_of & ~filled
    low, usual = _dark_maps(sample_adu, backgrounds_adu)
    segments, rest = _without_beads(sample_adu, backgrounds_adu, usable, whole, low)
    seen = sample_adu, backgrounds_adu, rest, whole
    shape, evened = even_background(*seen, usual_scale_adu(segments)) or (None, segments)
    clipping = clipping_of(sample_adu, ~faults.any_of)
    if clipping is not None:
        unclipped = without_clipping(segments, *seen, clipping.value_adu)
        factor = usual_scale_adu(unclipped) / usual_scale_adu(segments)
        evened = unclipped if shape is None else [each.scaled(factor) for each in evened]
    above_adu = float(np.quantile(usual[usable], 0.25)) if usable.any() else 0.0
    in_film = _in_film(evened, sample, frame_count)
    return Conditioning(faults, max(above_adu, 0.0), in_film, shape, clipping)


def _without_beads(
    sample_adu: NDArray[np.uint16],
    backgrounds_adu: NDArray[np.float32],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    low: NDArray[np.float32],
) -> tuple[list[Segment], NDArray[np.bool_]]:
    """The scale, and the usable pixels (Y, X), both without beads.

    A bead that flickers rules the scale, by which beads are known. So pixels that may belong to
    one, being always bright beside the noise, are left out at first.
    """
    segments = scale_segments(sample_adu, backgrounds_adu, usable, whole)
    noise_adu = noise_of(sample_adu, usable, np.flatnonzero(whole))
    likely = _apart(usable, low > BEAD_SCALES * NOISE_PER_SCALE * noise_adu)
    if likely.all():
        return segments, usable
    others = scale_segments(sample_adu, backgrounds_adu, usable & likely, whole)
    least_adu = BEAD_SCALES * min(segment.scale_adu for segment in others)
    apart = _apart(usable, low > least_adu)
    if apart.all():
        return segments, usable
    if not np.array_equal(apart, likely):
        others = scale_segments(sample_adu, backgrounds_adu, usable & apart, whole)
    return others, usable & apart


def _apart(usable: NDArray[np.bool_], bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (Y, X) apart from bright spots; all, if spots are everywhere.

    Areas as wide as a cell, and their surroundings, are no spots.
    """
    bright = usable & bright
    wide = ~grown(~bright, BEAD_REACH_PX)
    apart = ~grown(bright & ~grown(wide, 2 * BEAD_REACH_PX), BEAD_REACH_PX)
    if 2 * np.count_nonzero(usable & apart) <= np.count_nonzero(usable):
        return np.ones_like(usable)
    return apart


def _filled(
    sample_adu: NDArray[np.uint16], fill_adu: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels (Y, X) that have the fill value in some whole frame; and the frames (T,) that are.

    A frame is whole if no more of it is filled than is usual.
    """
    filled, whole = np.zeros(sample_adu.shape[1:], bool), np.ones(len(sample_adu), bool)
    if fill_adu is None:
        return filled, whole
    shares = np.array([np.mean(frame == fill_adu) for frame in sample_adu])
    partly = shares[shares < 1]
    whole = shares <= 2 * np.median(partly) + FILLED_SHARE if partly.size else whole
    for index in np.flatnonzero(whole):
        filled |= sample_adu[index] == fill_adu
    return filled, whole


def _dark_maps(
    sample_adu: NDArray[np.uint16], backgrounds_adu: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Low and median value of each pixel in time, above the background of its frame."""
    chosen = spread_evenly(len(sample_adu), MAP_FRAMES)
    places = len(chosen) // 10, len(chosen) // 2
    maps = np.empty((2, *sample_adu.shape[1:]), np.float32)
    for row in range(maps.shape[1]):  # one row at a time: all frames together are large
        above = sample_adu[chosen, row] - backgrounds_adu[chosen, None]
        maps[:, row] = np.partition(above, places, axis=0)[list(places)]
    return maps[0], maps[1]


def _in_film(segments: list[Segment], sample: list[int], frame_count: int) -> tuple[Segment, ...]:
    """The segments of a sample as ranges of the film's frames: they meet between two samples."""
    borders = [(sample[part.first - 1] + sample[part.first] + 1) // 2 for part in segments[1:]]
    return tuple(
        replace(part, first=first, last=last)
        for first, last, part in zip([0, *borders], [*borders, frame_count], segments, strict=True)
    )
