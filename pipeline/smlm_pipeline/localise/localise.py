"""From the network's answer per camera pixel to a table of molecules.

The network spreads one molecule's probability over about three neighbouring
pixels that point to the same place. DECODE (doi 10.1038/s41592-021-01236-x) sums
the probability of a local maximum with its neighbours'; this is that idea,
without its pixel grid: what points to nearly the same place is summed, nearest
first, for as long as the sum is still that of one molecule. Where molecules are
dense the limit matters, since neighbouring pixels then speak of different ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import ChunkError
from smlm_pipeline.localise.merging import Places, merge, share_surplus
from smlm_pipeline.localise.table import Localisations, in_field

THRESHOLD = 0.5
"""Summed probability from which a place counts as a molecule."""

CANDIDATE_PROBABILITY_MIN = 0.01
"""Pixels below it say that they hold nothing; together they hold about 1 % of all molecules."""


def localise(
    detections: NDArray[np.float32],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
    first_frame: int = 0,
) -> Localisations:
    """Molecules of a block of frames whose summed probability reaches ``threshold``.

    A molecule lies at the mean of the places that were merged into it, weighted
    by their probabilities. Its variance is the mixture's, the mean of the pixels'
    variances plus the variance of their places, so that pixels that disagree make
    it less certain. Its probability is the sum; what exceeds 1 is its neighbours'.
    Molecules outside of the field are left out, as they are from the image.

    Parameters
    ----------
    detections : ndarray, shape (N, 5, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    pixel_size_nm : float
        Edge of a camera pixel.
    threshold : float
        From 0 to 1.
    first_frame : int
        Number of the first of these frames in its film.

    Returns
    -------
    Localisations
        Frame by frame, in nm.

    Raises
    ------
    ChunkError
        If a detection is not a number, or a sigma not positive.
    """
    _, _, height, width = detections.shape
    places = share_surplus(merge(_candidates(detections)))
    y_nm, x_nm = places.mean_px * pixel_size_nm
    sigma_y_nm, sigma_x_nm = np.sqrt(places.variance_px2) * pixel_size_nm
    found = Localisations(
        places.frame + first_frame,
        y_nm,
        x_nm,
        sigma_y_nm,
        sigma_x_nm,
        np.minimum(places.probability, 1),
    )
    field = in_field(found, height_nm=height * pixel_size_nm, width_nm=width * pixel_size_nm)
    return found.take(field & (found.probability >= threshold))


def _candidates(detections: NDArray[np.float32]) -> Places:
    """The pixels that may hold a molecule, row by row."""
    frame, row, column = np.nonzero(~(detections[:, 0] < CANDIDATE_PROBABILITY_MIN))
    channels = np.moveaxis(detections, 1, 0)[:, frame, row, column].astype(np.float64)
    if not (np.isfinite(channels).all() and (channels[3:5] > 0).all()):
        raise ChunkError(
            "the network answered with something that is not a number, or with a sigma that is "
            "not positive; expected detections as contract.py states them: export it again"
        )
    centre_px = np.stack([row, column]) + 0.5
    return Places(frame, channels[0], centre_px + channels[1:3], channels[3:5] ** 2)
