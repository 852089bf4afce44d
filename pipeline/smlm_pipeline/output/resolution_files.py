"""Writes the resolution of an image: the curve as CSV and plot, the map as TIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.plot import Axes, Curve, write_plot
from smlm_pipeline.resolution.correlation import THRESHOLD, ResolutionMap, RingCurve

COLUMNS = ("spatial_frequency_per_um", "ring_correlation")
"""Columns of the curve's file."""


@dataclass(frozen=True)
class ResolutionFiles:
    """The files beside an image: ``STEM.resolution.csv``, ``.png`` and ``.tif``.

    Parameters
    ----------
    stem : Path
        The image's path without its ending.
    """

    stem: Path

    @property
    def curve(self) -> Path:
        """The ring correlation, a row for each frequency."""
        return self._named("csv")

    @property
    def plot(self) -> Path:
        """The ring correlation as a picture."""
        return self._named("png")

    @property
    def map(self) -> Path:
        """The resolution of tiles, in nm."""
        return self._named("tif")

    @property
    def all(self) -> tuple[Path, ...]:
        """All files."""
        return self.curve, self.plot, self.map

    def write(self, curve: RingCurve, tiles: ResolutionMap) -> None:
        """Write all files, each replaced if it exists.

        Raises
        ------
        OutputError
            If one cannot be written.
        """
        with written_whole(self.curve) as file:
            pairs = zip(curve.per_um.tolist(), curve.correlation.tolist(), strict=True)
            rows = "".join(f"{frequency:.6g},{value:.6f}\n" for frequency, value in pairs)
            file.write(f"{','.join(COLUMNS)}\n{rows}".encode())
        found = curve.resolution_nm
        number = f"{found:.1f} nm" if np.isfinite(found) else "none"
        axes = Axes(
            f"Fourier ring correlation: resolution {number}",
            "spatial frequency in 1/µm",
            "correlation of the halves of the film",
            (-0.1, 1.0),
        )
        threshold = Curve("1/7", curve.per_um[[0, -1]], np.full(2, THRESHOLD))
        write_plot(self.plot, axes, [Curve("halves", curve.per_um, curve.correlation), threshold])
        facts = {
            "value": "resolution in nm by Fourier ring correlation of two halves of the film; "
            "not a number where there are too few molecules",
            "tile_edge_nm": tiles.edge_nm,
        }
        write_image(self.map, tiles.resolution_nm, ImageFacts(tiles.step_nm, facts))

    def _named(self, ending: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}.resolution.{ending}")
