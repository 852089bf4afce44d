"""CEL0 (Gazagnes et al., doi 10.1109/ISBI.2017.7950460): sparse approximation on the fine grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from smlm_bench.baselines.cel0.solver import Iterations, minimise
from smlm_bench.baselines.imaging import (
    PADDING_PX,
    Imaging,
    extended,
    extended_shape,
    side_by_side,
    wavelet_background,
)
from smlm_bench.method import ZOOM, BlockResult, FilmFacts, no_molecules
from smlm_pipeline.localise.table import Molecules

_BLOCK_FINE_PIXELS = 1_700_000
"""Of a block, four frames of 64 x 64 pixels: enough for the transforms to be done together, few
enough to say now and then how far it is, and to stay in the processor's cache."""

_PEAK_SIGMA_PX, _PEAK_REACH_PX = 1.5, 7
"""SR pixels by which x is smoothed to look for molecules, and the square they stand out in."""


@dataclass(frozen=True)
class Cel0Settings:
    """Brightnesses in parts of a typical molecule's, and the iterations.

    ``faintest`` decides lambda, ``listed`` which molecules are listed.
    """

    faintest: float = 0.04
    listed: float = 0.2
    iterations: Iterations = field(default_factory=Iterations)


class Cel0:
    """Minimise 1/2 ||A x - y||^2 + sum phi(x_i; ||a_i||, L) over x >= 0 on the 8 times finer grid.

    **Equations.** A is the integrated Gaussian of ``methods.imaging``, phi the CEL0
    penalty, solved by reweighted l1 and FISTA with step 1 / zoom^2, started at zero
    (``methods.cel0_solver``). All frames of a block are solved at once.

    **Data scaling.** y is in photons: (reading - offset) / gain, minus a smooth
    background (``methods.wavelet_background``), since the model has none.

    **Rule for lambda.** The penalty's threshold is sqrt(2 L) / ||a_i||: fainter single
    molecules are left out. L = (faintest ||a|| I)^2 / 2 puts it at ``faintest`` of the film's
    typical molecule of I photons, with ||a|| the mean over the grid. The publication has
    values for data in other units (1.1 and 0.21; 0.035 for frames divided by their
    maximum), so ours was chosen for CEL0's sake, on four frames of 32 x 32 pixels of the
    preset ``evaluate`` with a seed of their own: at 0.3, 0.15, 0.08, 0.04 and 0.02 the NMSE at
    a blur of one SR pixel was 111, 91, 77, 69 and 68 %.

    **Picture.** x itself, in photons. **Molecules.** Neighbouring SR pixels often share
    one molecule. Where x, smoothed by 1.5 SR pixels, is the largest within 7 x 7, is a
    molecule; it lies at the centre of brightness of the pixels that are nearest to it. Fainter
    ones than ``listed`` typical molecules are noise and left out of the list, not of the picture.

    **Differences from the publication.** Grid of 12.5 nm instead of 25; 10 x 200
    iterations at most instead of 200 x 200; the objective cannot rise; fields that
    are not square. There, the field wraps around at its edges; here it is extended by its
    edge's pixels first, and x is cut to the field afterwards.
    """

    def __init__(self, facts: FilmFacts, settings: Cel0Settings | None = None) -> None:
        self._facts = facts
        self._settings = settings or Cel0Settings()
        height, width = extended_shape(facts.shape_px)
        self._imaging = Imaging((height, width), ZOOM, facts.sigma_px)
        fine_pixels = ZOOM**2 * height * width
        self.block_frames = max(_BLOCK_FINE_PIXELS // fine_pixels, 1)
        self.parameters: dict[str, Any] = {"sigma_px": facts.sigma_px, **asdict(self._settings)}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Brightness on the fine grid, summed, and groups of SR pixels as molecules."""
        photons = self._facts.photons(frames_adu)
        signal = extended(photons - wavelet_background(photons)).astype(np.float32)
        return side_by_side(self._solved, signal)

    def _solved(self, signal: NDArray[np.float32]) -> BlockResult:
        threshold = self._settings.faintest * self._facts.molecule_photons
        norm = float(self._imaging.column_norms.mean())
        cost = np.full(len(signal), (threshold * norm) ** 2 / 2)
        solution = minimise(self._imaging, signal, cost, self._settings.iterations)
        inner = slice(ZOOM * PADDING_PX, -ZOOM * PADDING_PX)
        x = solution.x[:, inner, inner]
        return BlockResult(
            x.sum(axis=0, dtype=np.float64),
            _molecules(
                x,
                self._facts.pixel_size_nm / ZOOM,
                self._settings.listed * self._facts.molecule_photons,
            ),
        )


def _molecules(x: NDArray[np.float32], fine_nm: float, photons_min: float) -> Molecules:
    """Centres of brightness of the pixels around each peak, frame by frame, if bright enough."""
    frame, row, column = np.nonzero(x)
    if not len(frame):
        return no_molecules()
    smooth = ndimage.gaussian_filter(x, (0, _PEAK_SIGMA_PX, _PEAK_SIGMA_PX), mode="constant")
    highest = ndimage.maximum_filter(smooth, (1, _PEAK_REACH_PX, _PEAK_REACH_PX), mode="constant")
    peaks = np.stack(np.nonzero((smooth == highest) & (smooth > 0)), axis=1)
    apart = np.array([4.0 * max(x.shape[1:]), 1, 1])  # frames lie so far apart that they never mix
    _, nearest = KDTree(peaks * apart).query(np.stack([frame, row, column], axis=1) * apart)
    weights = x[frame, row, column].astype(np.float64)
    total = np.bincount(nearest, weights, len(peaks))
    y, x_place = (np.bincount(nearest, weights * each, len(peaks)) for each in (row, column))
    filled = total > photons_min
    return Molecules(
        peaks[filled, 0].astype(np.int64),
        (y[filled] / total[filled] + 0.5) * fine_nm,
        (x_place[filled] / total[filled] + 0.5) * fine_nm,
    )
