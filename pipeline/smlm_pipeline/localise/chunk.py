"""The molecules of one request: the contract's MOLECULES."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import Candidates, candidates
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.window import Window
from smlm_pipeline.localise.localise import molecule_places

PROBABILITY_MIN = contract.MOLECULE_PROBABILITY_MIN
"""Molecules that are less probable are left out; a table may leave out more."""


def molecules(found: Candidates, asked: Window) -> NDArray[np.float32]:
    """Merge the candidates of a tile, and select the molecules in its core.

    Parameters
    ----------
    found : Candidates
        Of the whole tile: the halo decides what belongs together at the edge of the core.
    asked : Window
        The core.

    Returns
    -------
    ndarray, shape (M, 8), float32
        Columns of ``contract.MOLECULE_COLUMNS``, frame by frame.

    Raises
    ------
    ChunkError
        If a detection is not a number, or a sigma or an intensity not positive.
    """
    places = molecule_places(found)
    y_px, x_px = places.mean_px
    place = (y_px, x_px, *np.sqrt(places.variance_px2), places.probability)
    light = (places.intensity, np.sqrt(places.intensity_variance))
    table = np.column_stack([places.frame, *place, *light])
    bottom_px, right_px = asked.top_px + asked.height_px, asked.left_px + asked.width_px
    # Before the places are rounded, so that neighbouring tiles draw one border.
    within_y = (table[:, 1] >= asked.top_px) & (table[:, 1] < bottom_px)
    within_x = (table[:, 2] >= asked.left_px) & (table[:, 2] < right_px)
    kept = table[within_y & within_x & (table[:, 5] >= PROBABILITY_MIN)]
    return kept[np.argsort(kept[:, 0], kind="stable")].astype(np.float32)


def compile_loops() -> None:
    """Compile the loops that a server needs, and keep them, while its image is built.

    Numba keeps them in ``NUMBA_CACHE_DIR``, for the processor that ``NUMBA_CPU_NAME`` names: those
    for a ``generic`` one compute the same bits in the same time on any.
    """
    size_px = 32
    detections = np.zeros((1, len(contract.DETECTION_CHANNELS), size_px, size_px), np.float32)
    detections[:, 3:] = 0.1
    detections[0, 0, 8, 8:10] = 0.4  # a molecule in two pixels
    asked = Window(8, 0, 0, size_px, size_px, molecules=True)
    molecules(candidates(detections), asked)
    encode(draw(detections, asked.as_tensor(), np.zeros(contract.CLASS_BORDERS.dims, np.float32)))
