"""Check that a table of emitters belongs to a film: pixels must light up where it states."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.errors import FilmError

COMPARED_FRAMES = 32
"""Frames, spread over the film, on which the table is compared with the brightness."""

SIGNIFICANCE = 5.0
"""Standard errors by which their correlation must exceed zero."""


def check_table(
    frames_adu: NDArray[np.uint16],
    emitters_px: list[NDArray[np.float64]],
    pixel_size_nm: float,
) -> None:
    """Refuse a table that does not fit the film; a film of one frame cannot be checked and passes.

    Deviations from the mean over time are compared, since a structure shows in every frame:
    so a table that is late by one frame is found not to fit.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The film.
    emitters_px : list of ndarray, shape (K, 2), float64
        For each frame y and x of its emitters, in camera pixels.
    pixel_size_nm : float
        Edge of a camera pixel that the positions were divided by, for the message.

    Raises
    ------
    FilmError
        If pixels with more emitters than usual are not brighter than usual.
    """
    chosen = spread_evenly(len(frames_adu), COMPARED_FRAMES)
    compared_adu = frames_adu[chosen]
    counts = np.stack([count_emitters(emitters_px[i], frames_adu.shape[1:]) for i in chosen])
    if len(chosen) > 1 and not _rise_together(compared_adu, counts):
        raise FilmError(
            "the table does not fit the film: pixels do not light up where and when it says; "
            f"expected the film's own table, frames from 1, and pixels of {pixel_size_nm:g} nm: "
            "check all three"
        )


def count_emitters(emitters_px: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Emitters in each camera pixel of a frame; those outside of it are left out.

    Parameters
    ----------
    emitters_px : ndarray, shape (K, 2), float64
        y and x, in camera pixels.
    shape : tuple of int
        Height and width of the frame.

    Returns
    -------
    ndarray, shape (Y, X), int64
    """
    pixel = np.floor(emitters_px).astype(int)
    inside = pixel[((pixel >= 0) & (pixel < shape)).all(axis=1)]
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, tuple(inside.T), 1)
    return counts


def _rise_together(frames_adu: NDArray[np.uint16], counts: NDArray[np.int64]) -> bool:
    """Whether deviations of brightness and count from their means over time correlate."""
    mean_adu, mean_count = frames_adu.mean(axis=0), counts.mean(axis=0)
    covariance, brightness_variance, count_variance = 0.0, 0.0, 0.0
    for frame, count in zip(frames_adu, counts, strict=True):
        brighter, more = frame - mean_adu, count - mean_count
        covariance += float(np.mean(brighter * more))
        brightness_variance += float(np.mean(brighter**2))
        count_variance += float(np.mean(more**2))
    error = np.sqrt(brightness_variance * count_variance / frames_adu.size)
    return bool(covariance > SIGNIFICANCE * error)
