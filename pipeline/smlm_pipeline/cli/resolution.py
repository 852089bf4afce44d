"""``recon-client resolution``: the resolution of a table of molecules, or of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from smlm_pipeline.atomic_files import check_new
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.molecules import SR_PIXEL_NM
from smlm_pipeline.cli.options import OUTPUT_PANEL
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.errors import SettingError
from smlm_pipeline.output.image_reading import ENDINGS, read_image
from smlm_pipeline.output.resolution_files import ResolutionFiles
from smlm_pipeline.run.resolving import Resolution, resolution_of, resolution_of_one
from smlm_pipeline.tables.conversion import Conversion, converted
from smlm_pipeline.tables.rendering import Grid, TableImage

_PROGRAM = "recon-client"

BLOCKS = 8
"""Blocks of frames of a table that go to its halves by turns: long ones, so that few molecules
shine in both."""


_NO_HALVES = (
    "needs two halves of the film, and this is one image; 'recon-client submit FILM --resolution' "
    "measures it with them, as 'recon-client resolution' does of a table of molecules or the "
    "images of two halves"
)

_REFINED = (
    "the image is refined: refinement sharpens noise and what it assumes of molecules too, so the "
    "number states how sharp the image is, not what it resolves; measure the plain sum beside it "
    "(.sum.ome.tif), or 'recon-client submit FILM --resolution'"
)


def resolution(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="A table of molecules (.csv, .hdf5, .h5 or .parquet), which is cut into halves; "
            "the images of two halves (.tif); or one image.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="NAME",
            help="Also write NAME.resolution.csv and .png, the curve, and .tif, a map.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier files of these names.")
    ] = False,
    sr_pixel_nm: Annotated[
        float | None,
        typer.Option(
            help="Pixel of the images, by default the files'; or the pixel to draw a table with, "
            f"by default an eighth of a camera pixel, or {SR_PIXEL_NM:g}.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the facts as JSON.", rich_help_panel=OUTPUT_PANEL),
    ] = False,
) -> None:
    """Measure the resolution of INPUT.

    The Fourier ring correlation of two halves states the smallest detail that both of them show;
    decorrelation analysis needs one image alone. docs/resolution.md states what they mean.
    """
    with door(as_json=as_json):
        if sr_pixel_nm is not None and not 0 < sr_pixel_nm < np.inf:
            raise SettingError(f"sr-pixel-nm is {sr_pixel_nm:g}; expected a number above 0")
        files = None if output is None else ResolutionFiles(output)
        _check(files, inputs, replaced=overwrite)
        found, edge_nm, refined = _measured(inputs, sr_pixel_nm, quiet=as_json)
        if files is not None and found.curve is not None and found.tiles is not None:
            files.write(found.curve, found.tiles)
        facts = {"inputs": [str(path) for path in inputs], "sr_pixel_nm": edge_nm}
        facts |= {**found.as_dict(), "of_halves": found.of_halves}
        facts["notes"] = [*found.notes, *([_REFINED] if refined else [])]
        if as_json:
            print_json(facts)
        else:
            typer.echo(printable(_text(facts), one_line=False))


def _check(files: ResolutionFiles | None, inputs: list[Path], *, replaced: bool) -> None:
    """Refuse, before the work, what cannot be measured or written."""
    images = [path.name.lower().endswith(ENDINGS) for path in inputs]
    if len(inputs) > 2 or (len(inputs) == 2 and not all(images)):
        raise SettingError(
            f"{len(inputs)} inputs are given; expected a table, the images of two halves, or one "
            "image"
        )
    if files is None:
        return
    if images == [True]:
        raise SettingError(
            "-o writes the ring correlation of two halves, and there is one image; expected a "
            "table or two images, or no -o"
        )
    for path in files.all:
        check_new(path, replaced=replaced)


def _measured(
    inputs: list[Path], sr_pixel_nm: float | None, *, quiet: bool
) -> tuple[Resolution, float, bool]:
    """The resolution of the inputs, the edge of a pixel in nm, and whether one is refined."""
    if not inputs[0].name.lower().endswith(ENDINGS):
        one, two, edge_nm, block_frames = _halves_of_table(inputs[0], sr_pixel_nm, quiet=quiet)
        return resolution_of(one, two, edge_nm, block_frames), edge_nm, False
    images = [read_image(path, sr_pixel_nm) for path in inputs]
    edge_nm, refined = images[0].sr_pixel_nm, any(image.refined for image in images)
    if len(images) == 1:
        return resolution_of_one(images[0].pixels, edge_nm), edge_nm, refined
    first, second = images
    if first.pixels.shape != second.pixels.shape or first.sr_pixel_nm != second.sr_pixel_nm:
        sizes = (f"{each.pixels.shape} of {each.sr_pixel_nm:g} nm" for each in images)
        raise SettingError(
            f"the images have pixels {' and '.join(sizes)}; expected the two halves of one film"
        )
    return resolution_of(first.pixels, second.pixels, edge_nm), edge_nm, refined


def _halves_of_table(
    path: Path, sr_pixel_nm: float | None, *, quiet: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, int]:
    """Both halves of a table as images, the edge of a pixel in nm, and the frames of a block."""
    with (
        TerminalEvents(_PROGRAM, quiet=quiet, unit="rows") as events,
        converted(Conversion((path,)), Path.cwd(), events) as found,
    ):
        facts = found.facts
        edge_nm = sr_pixel_nm or (facts.pixel_size_nm / 8 if facts.pixel_size_nm else SR_PIXEL_NM)
        grid = Grid.up_to(edge_nm, found.extent_nm)
        grid.check()
        halves = [TableImage(grid, gaussian=False) for _ in range(2)]
        block_frames = max((facts.frame_count or 1) // BLOCKS, 1)
        for rows in found.rows.blocks():
            half = rows["frame"] // block_frames % 2
            for number, image in enumerate(halves):
                image.add(rows.take(half == number))
    return halves[0].pixels, halves[1].pixels, edge_nm, block_frames


def _text(facts: dict[str, Any]) -> str:
    """A few lines for people."""
    lines = []
    for name, title in (
        ("ring_correlation_nm", "Fourier ring correlation"),
        ("decorrelation_nm", "decorrelation analysis"),
    ):
        number = "not found" if facts[name] is None else f"{facts[name]:.1f} nm"
        if name == "ring_correlation_nm" and not facts["of_halves"]:
            number = _NO_HALVES
        lines.append(f"{title}: {number}")
    quartiles = facts["tile_quartiles_nm"]
    if quartiles:
        low, middle, high = quartiles
        lines.append(f"tiles: half of them from {low:.0f} to {high:.0f} nm, median {middle:.0f} nm")
    return "\n".join([*lines, *facts["notes"]])
