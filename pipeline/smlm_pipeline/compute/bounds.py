"""The bounds of a request, checked before memory is spent on it."""

from __future__ import annotations

from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.errors import ChunkError


def check_frames(
    frames_shape: tuple[int, ...], levels_shape: tuple[int, ...], answer: contract.Answer
) -> None:
    """Check the shapes of a chunk that a network is to answer.

    Parameters
    ----------
    frames_shape, levels_shape : tuple of int
        Shapes of the frames, (N, H, W), and of their levels.
    answer : Answer
        Kind of the network's answer, which bounds the pixels.

    Raises
    ------
    ChunkError
        If an edge, the number of frames or that of their pixels is out of the contract's range,
        an edge is not a multiple of ``SIZE_MULTIPLE_PX``, or the levels are not (N, 2).
    """
    if len(frames_shape) != 3:
        raise ChunkError(f"FRAMES has shape {frames_shape}; expected frames, height, width")
    _check_size("FRAMES", *frames_shape, answer)
    if levels_shape != (frames_shape[0], 2):
        raise ChunkError(f"LEVELS has shape {levels_shape}; expected {(frames_shape[0], 2)}")


def check_answers(shape: tuple[int, ...], answer: contract.Answer) -> None:
    """Check the shape of a network's answers, which are to be summed.

    Parameters
    ----------
    shape : tuple of int
        (N, C, zoom H, zoom W).
    answer : Answer
        Their kind.

    Raises
    ------
    ChunkError
        As `check_frames`, and if the channels are not the answer's.
    """
    if len(shape) != 4 or shape[1] != answer.channels:
        raise ChunkError(
            f"{answer.name} has shape {shape}; expected frames, {answer.channels} channels, "
            "height, width"
        )
    count, _, height, width = shape
    if height % answer.zoom or width % answer.zoom:
        raise ChunkError(
            f"{answer.name} is {height} x {width} SR pixels; expected multiples of {answer.zoom}"
        )
    _check_size(answer.name, count, height // answer.zoom, width // answer.zoom, answer)


def check_number(name: str, number: Any) -> None:
    """Check the number of a request, (2,) int32.

    Raises
    ------
    ChunkError
        If its shape or type is another.
    """
    dims = contract.REQUEST.dims
    if number.shape != dims or number.dtype != "int32":
        raise ChunkError(f"{name} is {number.shape} {number.dtype}; expected {dims} int32")


def _check_size(
    name: str, count: int, height_px: int, width_px: int, answer: contract.Answer
) -> None:
    multiple, most_px = contract.SIZE_MULTIPLE_PX, contract.TILE_SIZES_PX[-1]
    least_px = contract.MIN_FRAME_PX
    size = f"{name} is of {height_px} x {width_px} camera pixels"
    if min(count, height_px, width_px) < 1:
        raise ChunkError(f"{size} and {count} frames; expected at least one of each")
    if height_px % multiple or width_px % multiple:
        raise ChunkError(f"{size}; expected multiples of {multiple}: pad the tile")
    if max(height_px, width_px) > most_px:
        raise ChunkError(f"{size}; expected edges of at most {most_px}: cut smaller tiles")
    if min(height_px, width_px) < least_px:
        raise ChunkError(f"{size}; expected edges of at least {least_px}")
    frames_most = answer.frames_most(height_px, width_px)
    if count > frames_most:
        raise ChunkError(
            f"{size} and {count} frames; expected at most {frames_most} frames of this size: send "
            "smaller chunks"
        )
