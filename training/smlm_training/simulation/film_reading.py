"""Films and images out of TIFF files, whole in memory, or a refusal that says what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import StackError


def read_film(path: Path) -> NDArray[np.uint16]:
    """Frames (T, Y, X), in ADU.

    Raises
    ------
    StackError
        If the file cannot be read, or holds no 8- or 16-bit unsigned frames.
    """
    return read_pixels(
        path,
        "film of 8- or 16-bit unsigned frames, (T, Y, X)",
        lambda found: found.ndim == 3 and found.dtype in (np.uint8, np.uint16),
    ).astype(np.uint16)


def read_pixels(path: Path, expected: str, fits: Callable[[NDArray[Any]], bool]) -> NDArray[Any]:
    """Pixels of a TIFF file, if they are what is expected.

    Raises
    ------
    StackError
        If the file cannot be read, or its pixels do not fit; with ``expected`` in the message.
    """
    try:
        pixels = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise StackError(f"cannot read {path} ({error}); expected a TIFF {expected}") from error
    if not fits(pixels):
        raise StackError(
            f"{path} has shape {pixels.shape} and dtype {pixels.dtype}; expected a {expected}"
        )
    return pixels
