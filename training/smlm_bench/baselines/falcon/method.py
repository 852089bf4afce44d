"""FALCON (Min et al., doi 10.1038/srep04577): deconvolution, then continuous positions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.baselines.falcon.deconvolution import (
    BLOCK_FRAMES,
    EM_LOSS,
    SPEEDS,
    FalconSettings,
    Grid,
    deconvolve,
)
from smlm_bench.baselines.falcon.patches import Nodes
from smlm_bench.baselines.falcon.refinement import peaks, position_px, refine
from smlm_bench.baselines.imaging import PADDING_PX, extended, extended_shape, side_by_side
from smlm_bench.method import BlockResult, FilmFacts, histogram
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.localise.table import Molecules, in_field


class Falcon:
    """Three steps, each with its own module: background, deconvolution, refinement.

    **Units.** Photons are (reading - offset) / gain, divided by 1.4 on an EMCCD.
    **Background** b: ``wavelet_background``. **Deconvolution**
    (``falcon_deconvolution``): ADMM for 1/2 ||y - b - D (h * c)||^2 + sum w c, c >= 0,
    then again without l1 on the support that is left. **Refinement**
    (``falcon_refinement``): local maxima become molecules, whose positions, photons and
    widths follow from a first-order Taylor expansion of the spot.

    **Parameters.** Those of the authors' release by its names fast, normal, slow
    (``falcon_settings``); the Gaussian's sigma is the film's, widened for the pixel
    that it is sampled on.

    **Picture.** Molecules histogrammed on the fine grid by their photons, as a node on
    which two merged counts as two.

    **Difference from the publication.** It drops molecules within 4 pixels of the edge,
    where its field wraps around; here the field is extended by its edge's pixels
    first, so that none of it is lost. In blocks of 20 frames, as there.
    """

    def __init__(self, facts: FilmFacts, settings: FalconSettings = SPEEDS["normal"]) -> None:
        self._facts = facts
        self._settings = settings
        self._sigma_px = facts.sampled_sigma_px
        shape_px = extended_shape(facts.shape_px)
        self._grid = Grid(shape_px, settings.coarse_zoom, self._sigma_px)
        self._loss = EM_LOSS if facts.excess_noise > 1 else 1.0
        self.block_frames = BLOCK_FRAMES * available_cpus()
        self.parameters: dict[str, Any] = {"sigma_px": self._sigma_px, **asdict(settings)}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Molecules of blocks of 20 frames, and their histogram by photons."""
        return side_by_side(self._reconstruct, frames_adu, BLOCK_FRAMES)

    def _reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        photons = extended(self._facts.photons(frames_adu) / self._loss)
        solved = deconvolve(photons.astype(np.float32), self._grid, self._settings)
        nodes = refine(
            peaks(solved.nodes, self._settings),
            photons - solved.background,
            self._settings,
            self._sigma_px,
        )
        molecules = self._molecules(nodes)
        height_nm, width_nm = (size * self._facts.pixel_size_nm for size in self._facts.shape_px)
        inside = in_field(molecules, height_nm=height_nm, width_nm=width_nm)
        molecules, weights = molecules.take(inside), nodes.photons[inside] * self._loss
        image = histogram(molecules, self._facts.shape_px, self._facts.pixel_size_nm, weights)
        return BlockResult(image, molecules)

    def _molecules(self, nodes: Nodes) -> Molecules:
        zoom = self._settings.fine_zoom
        y_px, x_px = (
            position_px(node + shift, zoom) - PADDING_PX
            for node, shift in ((nodes.row, nodes.dy), (nodes.column, nodes.dx))
        )
        pixel_nm = self._facts.pixel_size_nm
        return Molecules(nodes.frame, y_px * pixel_nm, x_px * pixel_nm)
