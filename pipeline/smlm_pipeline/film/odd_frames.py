"""Notice frames at the ends of a film that are another kind of image, as a wide-field image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.formats.refusals import refusal

END_FRAMES, ODD_FRAMES_MAX = 8, 4
"""Frames at each end of a film that are compared, and how many of them may be of another kind."""

SEARCHED_FRAMES = 64
"""Frames after those in which the same kind is looked for: pulses and colours recur."""

BRIGHTER, NOISE_RATIO, STEPS = 2.0, 0.6, 5.0
"""Least excess of the light of odd frames, most ratio of their noise, and least size of the step
in units of the largest step between other frames."""

_BYTES_MAX = 1 << 26
"""Frames that are larger together are not compared."""

ReadFrames = Callable[[int, int], NDArray[np.uint16]]


def odd_ends(read: ReadFrames, frame_count: int, frame_bytes: int) -> tuple[int, int]:
    """Numbers of frames at the start and at the end of a film that are of another kind.

    They are much brighter than all frames beside them, or as bright with much less noise, as
    averaged images are. A frame that is darker is not odd: a shutter may open late. Frames that
    cannot be read are not compared.

    Parameters
    ----------
    read : callable
        Frames ``first`` to ``last - 1`` of the film, (T, Y, X) uint16, in ADU.
    frame_count : int
        Frames of the film.
    frame_bytes : int
        Bytes of one frame.

    Returns
    -------
    tuple of int
        At the start and at the end; 0 where all frames are alike.
    """
    if frame_count < 2 * END_FRAMES or END_FRAMES * frame_bytes > _BYTES_MAX:
        return 0, 0
    try:
        start = _odd(read(0, END_FRAMES))
        end = _odd(read(frame_count - END_FRAMES, frame_count)[::-1])
        if start or end:
            last = min(frame_count - END_FRAMES, SEARCHED_FRAMES)
            blocks = range(END_FRAMES, last, END_FRAMES)
            parts = [_light(read(first, min(first + END_FRAMES, last))) for first in blocks]
            others = np.concatenate(parts).tolist() if parts else []
            start = 0 if _recurs(read(0, 1), read(start, start + 1), others) else start
            last = frame_count - 1
            beside = read(last - end, last - end + 1)
            end = 0 if _recurs(read(last, last + 1), beside, others) else end
    except FilmError:
        return 0, 0
    return start, end


def notes_on_ends(
    path: Path, ends: tuple[int, int], frame_count: int, apart: int
) -> tuple[str, ...]:
    """Remarks on frames of another kind.

    ``ends`` is of `odd_ends`; ``apart`` are the frames at the start that the file keeps as an
    image of their own.

    Raises
    ------
    FilmError
        If frames at the start are both odd and kept apart.
    """
    start, end = ends
    if apart and start == apart:
        problem = f"begins with {_frames(0, apart)} of another kind, which the file keeps apart"
        remedy = f"take the others with --frames {apart}:, or all with --frames :{frame_count}"
        raise refusal(path, problem, remedy)
    notes = []
    if start or apart:
        looks = "looks like" if start else "is kept apart in the file, as"
        leading = start or apart
        notes.append(
            f"{_frames(0, leading)} of {path.name} {looks} another kind of image, such as a "
            f"wide-field image; if so, take --frames {leading}:"
        )
    if end:
        first = frame_count - end
        notes.append(
            f"{_frames(first, frame_count)} of {path.name} looks like another kind of image, such "
            f"as a wide-field image; if so, take --frames :{first}"
        )
    return tuple(notes)


def _frames(first: int, last: int) -> str:
    return f"frame {first}" if last == first + 1 else f"the part from frame {first} to {last - 1}"


def _odd(frames_adu: NDArray[np.uint16]) -> int:
    """Frames at the start that are alike and differ from all others."""
    light, noise = _light(frames_adu), _noise(frames_adu)
    for count in range(1, ODD_FRAMES_MAX + 1):
        dark = float(np.percentile(frames_adu[count:], 0.5))
        head, tail = light[:count] - dark, light[count:] - dark
        step = head.min() - tail.max()
        largest = max(np.abs(np.diff(tail)).max(), np.abs(np.diff(head)).max(initial=0))
        if head.min() > BRIGHTER * tail.max() and step > STEPS * largest:
            return count
        quiet = noise[:count].max() < NOISE_RATIO * noise[count:].min()
        if quiet and head.min() > tail.min() - largest and noise[:count].max() > 0:
            return count
    return 0


def _recurs(odd: NDArray[np.uint16], beside: NDArray[np.uint16], others: list[float]) -> bool:
    """Whether other frames have the light of odd ones rather than that of the frame beside."""
    high, low = _light(odd)[0], _light(beside)[0]
    return any(abs(light - high) < abs(light - low) for light in others)


def _light(frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Mean of each frame, in ADU."""
    light: NDArray[np.float64] = frames_adu.mean(axis=(1, 2), dtype=np.float64)
    return light


def _noise(frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Median difference of neighbouring pixels in each frame, in ADU."""
    steps = np.abs(np.diff(frames_adu.astype(np.int32), axis=2))
    noise: NDArray[np.float64] = np.median(steps, axis=(1, 2))
    return noise
