"""Writes an error map and the wide field that it belongs to, as TIFFs of camera pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.resolution.error_map import ErrorMap

MAP_VALUE = (
    "ADU of an average frame: wide field less the image blurred back; above 0 the image lacks "
    "light, below 0 it shows molecules without light"
)
WIDE_FIELD_VALUE = "ADU of an average frame above its background"


@dataclass(frozen=True)
class ErrorMapFiles:
    """The files beside an image: ``STEM.error.tif`` and ``STEM.widefield.tif``.

    Parameters
    ----------
    stem : Path
        The image's path without its ending.
    """

    stem: Path

    @property
    def map(self) -> Path:
        """The error map."""
        return self.stem.with_name(f"{self.stem.name}.error.tif")

    @property
    def wide_field(self) -> Path:
        """The wide field: the mean of the film above its background."""
        return self.stem.with_name(f"{self.stem.name}.widefield.tif")

    @property
    def all(self) -> tuple[Path, ...]:
        """Both files."""
        return self.map, self.wide_field

    def write(self, found: ErrorMap, pixel_size_nm: float, facts: Mapping[str, object]) -> None:
        """Write both files, each replaced if it exists.

        Parameters
        ----------
        found : ErrorMap
            In ADU.
        pixel_size_nm : float
            Edge of a camera pixel, which is that of the maps.
        facts : Mapping
            Numbers of the comparison, for the metadata.

        Raises
        ------
        OutputError
            If one cannot be written.
        """
        for path, values, meaning in (
            (self.map, found.difference, MAP_VALUE),
            (self.wide_field, found.wide_field, WIDE_FIELD_VALUE),
        ):
            provenance = {**facts, "value": meaning}
            write_image(path, values, ImageFacts(pixel_size_nm, provenance))
