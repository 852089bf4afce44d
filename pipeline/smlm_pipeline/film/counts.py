"""Convert the values of a file to 16-bit camera counts: unchanged, or rescaled with a note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.film.formats.refusals import refusal
from smlm_pipeline.film.frame_numbers import Numbers

SAMPLED_FRAMES = 32
"""Frames, evenly spread, from which the range of floating-point values is estimated."""

DARKEST_ADU, BRIGHTEST_ADU, COUNT_MAX = 1024, 16384, 65535
"""Counts of the sample's extremes; values beyond them have room before they are clipped."""

NOISE_ADU_MIN = 4.0
"""Least standard deviation of the sample's noise, in counts, however bright a hot pixel is."""


@dataclass(frozen=True)
class Counts:
    """``count = (value - zero) * factor``; ``note`` is a remark for the user, or None."""

    path: Path
    zero: float = 0.0
    factor: float = 1.0
    note: str | None = None

    def of(self, values: NDArray[Any], frames: Numbers) -> NDArray[np.uint16]:
        """Counts of the frames with these numbers in the file, clipped to 0 and 65535.

        Raises
        ------
        FilmError
            If a value is not a number.
        """
        if self.note is None:
            return values.astype(np.uint16, copy=False)
        counts = np.empty(values.shape, np.uint16)
        for index, frame in enumerate(values):  # one at a time: float64 is four times as large
            scaled = (frame.astype(np.float64) - self.zero) * self.factor
            if not np.isfinite(scaled).all():
                raise _not_numbers(self.path, values.dtype, int(frames[index]))
            counts[index] = np.rint(np.clip(scaled, 0, COUNT_MAX))
        return counts


def counts_of(
    path: Path,
    dtype: np.dtype[Any],
    frames: Numbers,
    read_frame: Callable[[int], NDArray[Any]],
) -> Counts:
    """Choose the conversion of a film's values to counts.

    8- and 16-bit unsigned values are counts. Of other types a sample decides: whole numbers
    from 0 to 65535 are taken unchanged, any others are rescaled. Rescaling does not change the
    image, since frames are normalised by the film's levels. ``frames`` are the numbers in the
    file of the film's frames.

    Raises
    ------
    FilmError
        If the values are no real numbers, or the sample holds NaN or infinity.
    """
    if dtype in (np.uint8, np.uint16):
        return Counts(path)
    if dtype.kind not in "iuf":
        raise refusal(path, f"holds {dtype.name} values", "save it as 16-bit unsigned")
    chosen = np.unique(np.linspace(0, len(frames) - 1, SAMPLED_FRAMES).round().astype(int))
    low, high, whole = np.inf, -np.inf, True
    deviations_mad = []
    for index in chosen.tolist():
        frame = read_frame(index).astype(np.float64)
        if not np.isfinite(frame).all():
            raise _not_numbers(path, dtype, int(frames[index]))
        low, high = min(low, float(frame.min())), max(high, float(frame.max()))
        whole = whole and bool((frame == np.rint(frame)).all())
        deviations_mad.append(float(np.median(np.abs(frame - np.median(frame)))))
    if whole and low >= 0 and high <= COUNT_MAX:
        return Counts(path, note=f"holds {dtype.name} values; taken as whole counts")
    noise = 1.4826 * float(np.median(deviations_mad))
    factor = (BRIGHTEST_ADU - DARKEST_ADU) / (high - low) if high > low else 1.0
    factor = max(factor, NOISE_ADU_MIN / noise if noise else 0.0)
    zero = low - DARKEST_ADU / factor
    formula = f"count = (value - {zero:.6g}) * {factor:.6g}"
    return Counts(path, zero, factor, f"holds {dtype.name} values; rescaled to 16 bits: {formula}")


def _not_numbers(path: Path, dtype: np.dtype[Any], frame: int) -> Exception:
    problem = f"holds {dtype.name} values, some of them NaN or infinite (frame {frame})"
    return refusal(path, problem, "save it as 16-bit unsigned (ImageJ: Image > Type > 16-bit)")
