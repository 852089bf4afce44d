"""Before and after a network, the same whatever runs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract, kernels
from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import ZOOM, Found
from smlm_training.scoring.localise import localise


class Field:
    """Frames of one film as networks read them: cut to whole multiples, with levels and mean."""

    def __init__(self, facts: FilmFacts) -> None:
        multiple = contract.SIZE_MULTIPLE_PX
        height, width = (-(-size // multiple) * multiple for size in facts.shape_px)
        self._region = {"top": 0, "left": 0, "height": height, "width": width}
        self._levels_adu = facts.levels_adu
        self.mean_adu = kernels.cut(facts.mean_adu[None], **self._region)[0]

    def cut(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Frames (N, Y, X) with their last rows and columns repeated up to the multiple."""
        return kernels.cut(frames_adu, **self._region)

    def levels_adu(self, count: int) -> NDArray[np.float32]:
        """Background and scale of so many frames, (N, 2)."""
        return np.repeat(self._levels_adu[None], count, axis=0)

    def normalized(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Frames (N, Y, X) as the network reads them, (N, 2, H, W)."""
        levels_adu = self.levels_adu(len(frames_adu))
        return kernels.normalize(self.cut(frames_adu), self.mean_adu, levels_adu)


def found_in(answers: NDArray[np.float32], facts: FilmFacts) -> Found:
    """Picture and molecules of a network's answers.

    Parameters
    ----------
    answers : ndarray, shape (N, 5, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, which are drawn and merged into molecules, or maps, which are summed.
    facts : FilmFacts
        Of the film; what was padded beyond its field is left out.
    """
    height, width = facts.shape_px
    window = np.array([ZOOM, 0, 0, height, width], np.int32)
    if answers.shape[1] == contract.MAP.dims[0]:
        return Found(emitters(kernels.sum_map(answers, window)), None)
    image = emitters(kernels.draw(answers, window))
    inside = answers[:, :, :height, :width]
    return Found(image, localise(inside, pixel_size_nm=facts.pixel_size_nm))


def emitters(summed: NDArray[np.int32]) -> NDArray[np.float64]:
    """The contract's integer image without its margin, in emitters per fine pixel."""
    margin = contract.MARGIN_PX * ZOOM
    image: NDArray[np.float64] = summed[margin:-margin, margin:-margin] / contract.WEIGHT_ONE
    return image
