"""Single-emitter fitting, as most users have it today in ThunderSTORM."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.baselines.imaging import side_by_side
from smlm_bench.baselines.spot_fit import Spots, detect_spots, fit_spots
from smlm_bench.method import ZOOM, BlockResult, FilmFacts, histogram
from smlm_pipeline.localise.table import Molecules, in_field


@dataclass(frozen=True)
class FitSettings:
    """ThunderSTORM's defaults.

    Attributes
    ----------
    threshold : float
        Of detection, in standard deviations of the first wavelet plane.
    radius_px : int
        Of the window, 2 radius + 1 pixels wide.
    """

    threshold: float = 1.0
    radius_px: int = 3


class SingleEmitter:
    """Detect spots, fit each by one integrated Gaussian, count them on the fine grid.

    **Detection.** Wavelet plane F2 above 1 std(F1), 3 x 3 maxima (``spot_detection``).
    **Fit.** N E_y E_x + b with free width in 7 x 7 pixels by maximum likelihood
    (``spot_fit``; doi 10.1038/nmeth.1449). **Dropped** are fits that have not settled,
    or that lie further than the radius from the spot's pixel, along either axis. Widths are not
    filtered, as they are not by default in ThunderSTORM (doi 10.1093/bioinformatics/btu202):
    where molecules are dense, hardly any would pass. It also drops spots in the outer
    pixels of the field, which are fitted here.

    Its multi-emitter fit is not part of this: it is off by default there, and slow.
    Maintained libraries exist (Picasso, doi 10.1038/nprot.2017.024), but bring a graphical
    interface along and offer no such detection.
    """

    def __init__(self, facts: FilmFacts, settings: FitSettings | None = None) -> None:
        self._facts = facts
        self._settings = settings or FitSettings()
        self.block_frames = 64
        self.parameters: dict[str, Any] = {"sigma_px": facts.sigma_px, **asdict(self._settings)}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """Fitted molecules of frames (N, Y, X), and how many lie in each SR pixel."""
        return side_by_side(self._reconstruct, frames_adu)

    def _reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        photons = self._facts.photons(frames_adu)
        frame, row, column = detect_spots(photons, self._settings.threshold)
        spots = fit_spots(self._windows(photons, frame, row, column), self._facts.sigma_px)
        pixel_nm = self._facts.pixel_size_nm
        molecules = Molecules(
            frame, (row + 0.5 + spots.y_px) * pixel_nm, (column + 0.5 + spots.x_px) * pixel_nm
        )
        height_nm, width_nm = (size * pixel_nm for size in self._facts.shape_px)
        inside = in_field(molecules, height_nm=height_nm, width_nm=width_nm)
        kept = molecules.take(inside & self._believed(spots))
        return BlockResult(histogram(kept, self._facts.shape_px, pixel_nm), kept)

    def _windows(
        self,
        photons: NDArray[np.float64],
        frame: NDArray[np.int64],
        row: NDArray[np.int64],
        column: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Pixels around each spot (K, P, P); the film's edge pixels are repeated beyond it."""
        radius = self._settings.radius_px
        padded = np.pad(photons, ((0, 0), (radius, radius), (radius, radius)), mode="edge")
        around = np.arange(2 * radius + 1)
        rows, columns = row[:, None] + around, column[:, None] + around
        windows: NDArray[np.float64] = padded[
            frame[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return windows

    def _believed(self, spots: Spots) -> NDArray[np.bool_]:
        reach_px = self._settings.radius_px
        near: NDArray[np.bool_] = np.maximum(np.abs(spots.y_px), np.abs(spots.x_px)) <= reach_px
        return near & spots.settled


_BLOCK_FRAMES = 64


class Blank:
    """An empty image: x(i) = 0. Its NMSE is 100 % by definition; it has no parameters."""

    def __init__(self, facts: FilmFacts) -> None:
        self._shape = tuple(ZOOM * size for size in facts.shape_px)
        self.block_frames = _BLOCK_FRAMES
        self.parameters: dict[str, Any] = {}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:  # noqa: ARG002
        """Zeros, whatever the frames (N, Y, X) are."""
        return BlockResult(np.zeros(self._shape), None)


class Widefield:
    """The sum of the frames above the background, each camera pixel repeated ``ZOOM`` times.

    x = sum over frames of (y - b), b the film's background level (``film.survey``);
    what is below zero in the end counts as zero. No parameters.
    """

    def __init__(self, facts: FilmFacts) -> None:
        self._background_adu = float(facts.levels_adu[0])
        self.block_frames = _BLOCK_FRAMES
        self.parameters: dict[str, Any] = {"background_adu": self._background_adu}

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """The block's sum (N, Y, X) -> (``ZOOM`` Y, ``ZOOM`` X)."""
        summed = frames_adu.sum(axis=0, dtype=np.float64) - len(frames_adu) * self._background_adu
        return BlockResult(np.kron(summed, np.ones((ZOOM, ZOOM))), None)
