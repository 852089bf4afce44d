"""The wide field of a film, and how many molecules shine when: summed beside the image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run.chunking import Chunk

LIGHT_ONE = 1 << 16
"""One scale of a film in the sum of its light, which is of integers as the image's is."""


def core_of(chunk: Chunk) -> tuple[slice, slice]:
    """Rows and columns of a chunk's core in the field."""
    y, x = chunk.tile.y, chunk.tile.x
    return (
        slice(y.core_start, y.core_start + y.core_size),
        slice(x.core_start, x.core_start + x.core_size),
    )


def light_of(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum of frames above their backgrounds, in scales: what a network sees of a wide field.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, Y, X), uint16
        Prepared frames, in ADU.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame, in ADU.

    Returns
    -------
    ndarray, shape (Y, X), float64
    """
    light = np.zeros(frames_adu.shape[1:])
    backgrounds_adu, scales_adu = levels_adu.astype(np.float64).T
    for scale_adu in np.unique(scales_adu):  # of a film there are one or two
        frames = scales_adu == scale_adu
        whole = frames.all()
        sum_adu = (frames_adu if whole else frames_adu[frames]).sum(axis=0, dtype=np.uint32)
        light += (sum_adu - backgrounds_adu[frames].sum()) / scale_adu
    return light


class WideField:
    """Sums the light of a film pixel by pixel, and its molecules by time; a `Sink`.

    Parameters
    ----------
    height_px, width_px : int
        Field of view, in camera pixels.
    chunks : sequence of Chunk
        All chunks of the run, which follow one another.
    """

    name = "wide_field.npy"

    def __init__(self, height_px: int, width_px: int, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._first_index = chunks[0].index if chunks else 0  # not 0 in a part of a film
        self._light = np.zeros((height_px, width_px), np.int64)
        self._emitters = np.full(len(chunks), -1, np.int64)

    def check(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Refuse an answer without the light of its chunk.

        Raises
        ------
        InferenceError
            If the light is missing, or of another region.
        """
        shape = chunk.tile.y.core_size, chunk.tile.x.core_size
        if answer.light is None or answer.light.shape != shape:
            raise InferenceError(f"chunk {chunk.index} came back without its light; expected it")

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        """Add the light of a chunk at its place."""
        if answer.light is None:
            return
        self._light[core_of(chunk)] += np.rint(answer.light * LIGHT_ONE).astype(np.int64)
        place = chunk.index - self._first_index
        self._emitters[place] = int(answer.sums.weight.sum(dtype=np.int64))

    def write_to(self, file: IO[bytes]) -> None:
        """Write both sums, as two arrays in a row."""
        for array in (self._light, self._emitters):
            np.save(file, array)

    def read_from(self, file: IO[bytes]) -> None:
        """Replace both sums.

        Raises
        ------
        ValueError
            If they are of another shape or type, or cut short.
        """
        stored = io.BytesIO(file.read())
        light, emitters = (np.load(stored) for _ in range(2))
        _check_alike(light, self._light)
        _check_alike(emitters, self._emitters)
        self._light, self._emitters = light, emitters

    def write_part_to(self, file: IO[bytes]) -> None:
        """Write both sums, after the index of the first chunk that the second one counts."""
        np.save(file, np.int64(self._first_index))
        self.write_to(file)

    def add_from(self, file: IO[bytes]) -> None:
        """Add the sums of another part of the film.

        Raises
        ------
        ValueError
            If they are of another shape or type, of chunks that the run does not have, or cut
            short.
        """
        stored = io.BytesIO(file.read())
        first, light, emitters = (np.load(stored) for _ in range(3))
        place = int(first) - self._first_index
        if place < 0:
            raise ValueError("of other chunks")
        own = self._emitters[place : place + len(emitters)]
        _check_alike(light, self._light)
        _check_alike(emitters, own)
        self._light += light
        np.maximum(own, emitters, out=own)  # -1 is not summed

    @property
    def light(self) -> NDArray[np.float64]:
        """The sum of the light, (Y, X), in scales."""
        return self._light / LIGHT_ONE

    def per_frame(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """First frame of each range of frames in the order of time, and molecules of a frame in it.

        Ranges of which a tile is missing are left out.

        Returns
        -------
        first_frame : ndarray, shape (R,), int64
        molecules : ndarray, shape (R,), float64
        """
        sums: dict[int, list[int]] = {}
        for chunk in self._chunks:
            emitters = sums.setdefault(chunk.first_frame, [chunk.frame_count])
            emitters.append(int(self._emitters[chunk.index - self._first_index]))
        whole = {first: parts for first, (*parts,) in sorted(sums.items()) if min(parts[1:]) >= 0}
        rates = [sum(parts[1:]) / contract.WEIGHT_ONE / parts[0] for parts in whole.values()]
        return np.array(list(whole), np.int64), np.array(rates, np.float64)


def _check_alike(array: NDArray[np.int64], own: NDArray[np.int64]) -> None:
    """Refuse a sum of another shape or type."""
    if (array.shape, array.dtype) != (own.shape, own.dtype):
        raise ValueError("of another shape or type")
