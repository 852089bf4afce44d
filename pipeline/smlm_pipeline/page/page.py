"""Writes the report of a run as one page, which needs nothing but a browser, and its numbers."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.output.page_files import PageFiles
from smlm_pipeline.output.picture_style import PictureStyle
from smlm_pipeline.page import markup, plots, sections
from smlm_pipeline.page.histograms import Histogram
from smlm_pipeline.page.numbers import numbers_of
from smlm_pipeline.page.pictures import Pictures, pictures_of
from smlm_pipeline.page.provenance import provenance
from smlm_pipeline.reconstruction import Reconstruction

_FOLDER = Path(__file__).parent


def write_page(
    files: PageFiles,
    facts: Mapping[str, Any],
    result: Reconstruction,
    *,
    timings_s: Callable[[], Mapping[str, float]],
    frames: NDArray[np.int64],
    histograms: Sequence[Histogram],
    style: PictureStyle,
    both: Image.Image | None = None,
) -> None:
    """Write the page and its numbers; each file is replaced if it exists.

    Parameters
    ----------
    files : PageFiles
        Where to write.
    facts : Mapping
        All of `smlm_pipeline.report.Report`.
    result : Reconstruction
        The run, compared with its wide field.
    timings_s : Callable
        Seconds of each stage, asked for when the pictures are drawn.
    frames : ndarray, shape (F,), int64
        Numbers of the film's frames, as its file counts them.
    histograms : sequence of Histogram
        Of the molecules; empty where they were not asked for.
    style : PictureStyle
        Colours and contrast of the image.
    both : Image, optional
        The picture of two channels, where the image is that of one of them.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if result.comparison is None:
        raise ValueError("the run has no error map; expected settings with one for a page")
    numbers = numbers_of(facts, result, frames, histograms)
    pictures = pictures_of(
        result.shown,
        result.comparison.map,
        sr_pixel_size_nm=facts["sr_pixel_size_nm"],
        style=style,
        both=both,
    )
    numbers["report"] = {**numbers["report"], "timings_s": timings_s()}
    for path, text in (
        (files.numbers, json.dumps(numbers, indent=1, allow_nan=False)),
        (files.page, page_of(numbers, pictures)),
    ):
        with written_whole(path) as file:
            file.write(text.encode())


def page_of(numbers: Mapping[str, Any], pictures: Pictures) -> str:
    """The page as text."""
    body = markup.joined(
        [
            sections.head(numbers),
            sections.both_channels(pictures),
            sections.picture(numbers, pictures),
            sections.trust(numbers, pictures),
            sections.warnings(numbers),
            plots.resolution(numbers),
            plots.drift(numbers),
            plots.molecules(numbers),
            plots.over_time(numbers),
            provenance(numbers),
        ]
    )
    template, style, script = (
        _FOLDER.joinpath(f"page.{ending}").read_text(encoding="utf-8")
        for ending in ("html", "css", "js")
    )
    facts = numbers["report"]
    return Template(template).substitute(
        title=html.escape(sections.name_of(facts)),
        software=html.escape(facts["software"], quote=True),
        style=style,
        script=script,
        body=body,
    )
