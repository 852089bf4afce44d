"""Turn a network's detections, one per camera pixel, into a table of localisations.

The network spreads one molecule's probability over about three neighbouring
pixels that point to the same place. DECODE (doi 10.1038/s41592-021-01236-x) sums
the probability of a local maximum with its neighbours'. Here the sum does not follow
the pixel grid: detections that point to nearly the same place are summed, nearest
first, up to the probability of one molecule. The limit matters where molecules are
dense, since neighbouring pixels then point to different molecules.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import Candidates, candidates
from smlm_pipeline.errors import ChunkError
from smlm_pipeline.localise.merging import Places, merge, share_surplus
from smlm_pipeline.localise.table import Localisations, in_field

THRESHOLD = 0.5
"""Summed probability from which a place counts as a localisation."""

_PART = 1 << 15
"""Pixels that are merged at once: the processor's cache holds what is computed of them."""


def localise(
    detections: NDArray[np.float32],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
    first_frame: int = 0,
) -> Localisations:
    """Localisations of a block of frames whose summed probability reaches ``threshold``.

    A localisation is the mean of the places that were merged into it, weighted by
    their probabilities. Its variance is that of the mixture: the mean of the pixels'
    variances plus the variance of their places, so disagreement between pixels makes
    it less certain. Its probability is their sum; any surplus over 1 goes to its
    neighbours. Localisations outside of the field are omitted, as in the image. Mean
    and variance of the intensity are formed in the same way, with the same weights.

    Parameters
    ----------
    detections : ndarray, shape (N, 7, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    pixel_size_nm : float
        Edge of a camera pixel.
    threshold : float
        From 0 to 1.
    first_frame : int
        Index of the first of these frames in the film.

    Returns
    -------
    Localisations
        Frame by frame, in nm.

    Raises
    ------
    ChunkError
        If a detection is not a number, or a sigma or an intensity not positive.
    """
    _, _, height, width = detections.shape
    places = molecule_places(candidates(detections))
    y_nm, x_nm = places.mean_px * pixel_size_nm
    sigma_y_nm, sigma_x_nm = np.sqrt(places.variance_px2) * pixel_size_nm
    table = Localisations(
        places.frame + first_frame,
        y_nm,
        x_nm,
        sigma_y_nm,
        sigma_x_nm,
        places.probability,
        places.intensity,
        np.sqrt(places.intensity_variance),
    )
    field = in_field(table, height_nm=height * pixel_size_nm, width_nm=width * pixel_size_nm)
    return table.take(field & (table.probability >= threshold))


def molecule_places(found: Candidates) -> Places:
    """Merge the pixels that may hold a molecule to molecules, as `localise` does.

    Raises
    ------
    ChunkError
        If a detection is not within the contract.
    """
    parts = [_merged(part) for part in found.parts(_PART)]
    return Places(
        *(
            np.concatenate([getattr(part, column.name) for part in parts], axis=-1)
            for column in fields(Places)
        )
    )


def _merged(found: Candidates) -> Places:
    channels = np.ascontiguousarray(found.channels)  # by channel: they are used one by one
    low = channels.min(axis=1, initial=np.inf)  # no number, where one is not
    high = channels.max(axis=1, initial=-np.inf)
    likely = high[0] <= 1 and np.maximum(-low[1:3], high[1:3]).max() <= contract.MAX_OFFSET_PX
    if not (likely and (low[3:] > 0).all() and (high[3:] < np.inf).all()):
        raise ChunkError(
            "the network answered with a probability above 1, an offset beyond "
            f"{contract.MAX_OFFSET_PX:g} px, a value that is not a number, or a sigma or an "
            "intensity that is not positive; expected detections as the contract has them: export "
            "it again"
        )
    channels = channels.astype(np.float64)
    centre_px = np.stack([found.row, found.column]) + 0.5
    places = Places(
        found.frame,
        channels[0],
        centre_px + channels[1:3],
        channels[3:5] ** 2,
        channels[5],
        channels[6] ** 2,
    )
    molecules = share_surplus(merge(places))
    return replace(molecules, probability=np.minimum(molecules.probability, 1))
