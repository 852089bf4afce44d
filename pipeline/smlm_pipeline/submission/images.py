"""Write the images of a job: the image itself, and those before refinement and drift correction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from smlm_pipeline.atomic_files import remove
from smlm_pipeline.job import Job
from smlm_pipeline.output import ome_tiff, ome_zarr
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.pyramid import Rows

Image: TypeAlias = Rows | Mapping[str, Rows]
"""An image, or that of each channel by its name."""


class Stated(Protocol):
    """The report of a run, of one channel or two."""

    def image_facts(self, *without: str) -> ImageFacts:
        """The facts of its image, or of the one before these steps."""
        ...


def write_images(
    job: Job, report: Stated, image: Image, sums: Image | None, uncorrected: Image | None
) -> None:
    """Write the image first: an hour of computing is not lost for a picture.

    Parameters
    ----------
    job : Job
        Names the files. With ``overwrite`` those of an earlier run that are not this one's go.
    report : Report or ChannelsReport
        States the facts of the image.
    image, sums, uncorrected : Rows, or Mapping of str to Rows
        The image; the plain sum, if that is refined; and that with its drift, if that is corrected.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    _write(job, job.image, image, report.image_facts())
    for path, before, lacks in (
        (job.sum_image, sums, ("refinement",)),
        (job.uncorrected_image, uncorrected, ("refinement", "drift")),
    ):
        if before is not None:
            _write(job, path, before, report.image_facts(*lacks))
        elif job.overwrite:
            remove(path)


def _write(job: Job, path: Path, image: Image, facts: ImageFacts) -> None:
    if isinstance(image, Mapping):
        write_channels = ome_zarr.write_channels if job.is_zarr else ome_tiff.write_channels
        write_channels(path, image, facts)
    else:
        write = ome_zarr.write_zarr if job.is_zarr else ome_tiff.write_image
        write(path, image, facts)
