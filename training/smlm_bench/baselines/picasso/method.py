"""Picasso's identification and maximum-likelihood fit (doi 10.1038/nprot.2017.024)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from smlm_bench.baselines.picasso.process import PicassoProcess
from smlm_bench.method import BlockResult, FilmFacts, histogram
from smlm_pipeline.localise.table import Molecules, in_field

_RIM_PX = 1
"""Pixels beyond half a box that Picasso leaves out at an edge."""


@dataclass(frozen=True)
class PicassoSettings:
    """What a user of Picasso sets, by the films of the half "choose" of the suite of structures.

    Attributes
    ----------
    fitting_method : str
        ``gaussmle-spherical``, one sigma for both axes (MLE "sigma"), or ``gaussmle`` ("sigmaxy").
    gradient_share : float
        Least net gradient, as a share of that of a typical molecule in the middle of a pixel.
    radius_sigmas : float
        Half a box in sigmas of a spot, before it is rounded.
    """

    fitting_method: str = "gaussmle-spherical"
    gradient_share: float = 0.2
    radius_sigmas: float = 2.0

    def box_px(self, sigma_px: float) -> int:
        """Edge of the box around a spot: odd, 5 or more."""
        return 2 * max(round(self.radius_sigmas * sigma_px), 2) + 1


class Picasso:
    """Picasso itself, in a process of its own; its molecules are counted on the fine grid.

    **Identification.** Local maxima of the box whose net gradient, the sum over the box of the
    gradient towards its middle, exceeds a threshold. **Fit.** A Gaussian of free width in the
    box, by maximum likelihood. Nothing is filtered afterwards.

    **Parameters.** Photons are (reading - offset) / gain. Picasso's defaults, a box of 7 x 7 and
    a net gradient of 5000 ADU, are for users to adapt: ``PicassoSettings`` scored best on films
    that are not reported, where filters by width or precision made the image worse.

    **Difference from Picasso.** It leaves out half a box at each edge; here the field is
    extended by its edge's pixels first, so that none of it is lost.

    Parameters
    ----------
    process : PicassoProcess
        Started with the ``worker_argument`` of the same facts and settings.
    facts : FilmFacts
        Facts of the film.
    settings : PicassoSettings
        What a user sets.
    """

    def __init__(
        self,
        process: PicassoProcess,
        facts: FilmFacts,
        settings: PicassoSettings = PicassoSettings(),
    ) -> None:
        self._process, self._facts = process, facts
        self._padding_px = _padding_px(facts, settings)
        self.block_frames = 512
        given = worker_argument(facts, settings)
        self.parameters: dict[str, Any] = {
            **asdict(settings),
            **given["parameters"],
            **process.stated,
        }

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Fitted molecules of frames (N, Y, X), and how many lie in each SR pixel."""
        around = (self._padding_px, self._padding_px)
        extended = np.pad(frames_adu, ((0, 0), around, around), mode="edge")
        frame, y, x = self._process.localise(extended)
        pixel_nm = self._facts.pixel_size_nm
        y_nm, x_nm = ((place + 0.5 - self._padding_px) * pixel_nm for place in (y, x))
        height_nm, width_nm = (edge * pixel_nm for edge in self._facts.shape_px)
        found = Molecules(frame.astype(np.int64), y_nm, x_nm)
        kept = found.take(in_field(found, height_nm=height_nm, width_nm=width_nm))
        return BlockResult(histogram(kept, self._facts.shape_px, pixel_nm), kept)


def worker_argument(facts: FilmFacts, settings: PicassoSettings) -> dict[str, Any]:
    """What the `worker` of a film is given: Picasso's own parameters, and the frames' shape."""
    box_px = settings.box_px(facts.sigma_px)
    typical_adu = facts.molecule_photons * facts.adu_per_photon
    share = settings.gradient_share * net_gradient(box_px, facts.sigma_px)
    return {
        "parameters": {"Box Size": box_px, "Min. Net Gradient": round(share * typical_adu, 1)},
        "camera_info": {
            "Baseline": facts.offset_adu,
            "Sensitivity": 1 / facts.adu_per_photon,
            "Gain": 1,  # that of the register is in the sensitivity
            "Qe": 1,
            "Pixelsize": facts.pixel_size_nm,
        },
        "fitting_method": settings.fitting_method,
        "shape_px": [edge + 2 * _padding_px(facts, settings) for edge in facts.shape_px],
    }


def net_gradient(box_px: int, sigma_px: float) -> float:
    """The net gradient of a spot of one photon in the middle of a pixel, as Picasso defines it.

    It is the sum over the box of the differences of the neighbours of each pixel, along both
    axes, times the direction from the pixel to the middle.
    """
    radius_px = box_px // 2
    edges_px = np.arange(-radius_px - 1, radius_px + 3) - 0.5
    share = np.diff(ndtr(edges_px / sigma_px))
    spot = np.outer(share, share)
    away_px = np.arange(-radius_px, radius_px + 1)
    distance_px = np.hypot(*np.meshgrid(away_px, away_px))
    distance_px[radius_px, radius_px] = 1
    down = (spot[2:, 1:-1] - spot[:-2, 1:-1]) * -away_px[:, None]
    across = (spot[1:-1, 2:] - spot[1:-1, :-2]) * -away_px
    return float(((down + across) / distance_px).sum())


def _padding_px(facts: FilmFacts, settings: PicassoSettings) -> int:
    return settings.box_px(facts.sigma_px) // 2 + _RIM_PX
