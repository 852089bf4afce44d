"""``recon-client molecules``: convert, filter, link and draw tables of molecules."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from smlm_pipeline.atomic_files import check_new
from smlm_pipeline.cli.camera_options import CameraOptions
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import AsJson, Quiet
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.cli.run_options import PictureOptions
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.formats.pixel_size import check_given
from smlm_pipeline.film.selection import frames_range
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.output.picture import write_picture
from smlm_pipeline.output.picture_style import PictureStyle
from smlm_pipeline.run.identity import SOFTWARE
from smlm_pipeline.tables.camera_units import IN_ADU
from smlm_pipeline.tables.conversion import Conversion, Converted, converted
from smlm_pipeline.tables.filters import Filters
from smlm_pipeline.tables.formats import check_target, format_of, light_notes, write_table
from smlm_pipeline.tables.linking import LinkRule
from smlm_pipeline.tables.rendering import Grid, TableImage

SR_PIXEL_NM = 12.5
"""Pixel of a drawn image, where the camera's pixel is not known; else an eighth of that."""

_PROGRAM = "recon-client"
_TABLES, _ROWS, _LINKS, _IMAGE = "Tables", "Selection of rows", "Links", "Image"
_IMAGES = (".tif", ".tiff", ".png")


class Drawing(str, enum.Enum):
    """The mark of a molecule in an image."""

    HISTOGRAM = "histogram"
    GAUSSIAN = "gaussian"


@with_groups
def molecules(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE",
            help="Tables of molecules: .csv (ThunderSTORM or SMLM challenge), .hdf5 (Picasso), .h5 "
            "(DECODE) or .parquet. Several are joined.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Table to write, in the format of its ending; or an image, .tif or .png.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace an earlier file of that name.", rich_help_panel=_TABLES
        ),
    ] = False,
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            help="Camera pixel in the sample plane; by default the tables'.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ] = None,
    consecutive: Annotated[
        bool,
        typer.Option(
            "--consecutive",
            help="Number the frames of each further table after those of the one before.",
            rich_help_panel=_TABLES,
        ),
    ] = False,
    probability_min: Annotated[
        float | None,
        typer.Option(
            help="Least probability.", min=0, max=1, show_default=False, rich_help_panel=_ROWS
        ),
    ] = None,
    uncertainty_max_nm: Annotated[
        float | None,
        typer.Option(
            help="Largest uncertainty, in x and in y.", show_default=False, rich_help_panel=_ROWS
        ),
    ] = None,
    photons_min: Annotated[
        float | None,
        typer.Option(help="Fewest photons.", show_default=False, rich_help_panel=_ROWS),
    ] = None,
    photons_max: Annotated[
        float | None,
        typer.Option(help="Most photons.", show_default=False, rich_help_panel=_ROWS),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="A:B[:STEP]",
            help="Frames from A up to B (excluded), counted from 0 in every format.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    region_nm: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Region, from the corner of the first pixel; also that of an image.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    link_nm: Annotated[
        float | None,
        typer.Option(
            help="Join rows of successive frames up to this distance to one molecule.",
            show_default=False,
            rich_help_panel=_LINKS,
        ),
    ] = None,
    link_dark_frames: Annotated[
        int,
        typer.Option(
            min=0,
            help="Most frames in a row in which a joined molecule may be dark.",
            rich_help_panel=_LINKS,
        ),
    ] = 0,
    draw: Annotated[
        Drawing,
        typer.Option(
            help="Draw a molecule as one count in its pixel, or as a Gaussian as wide as its "
            "uncertainty, with a sum of one.",
            rich_help_panel=_IMAGE,
        ),
    ] = Drawing.HISTOGRAM,
    sr_pixel_nm: Annotated[
        float | None,
        typer.Option(
            help=f"Pixel of the image; by default an eighth of a camera pixel, or {SR_PIXEL_NM:g}.",
            show_default=False,
            rich_help_panel=_IMAGE,
        ),
    ] = None,
    camera: CameraOptions,
    picture: PictureOptions,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Convert, filter, link or draw tables of molecules.

    Reads TABLEs of this program and of others, keeps the rows that meet all conditions, joins
    them where --link-nm is given, and writes them in the order of their frames. docs/tables.md
    states the conventions of each format.
    """
    with door(as_json=as_json):
        filters = Filters(
            probability_min,
            _positive("uncertainty-max-nm", uncertainty_max_nm),
            photons_min,
            photons_max,
            None if frames is None else _frames(frames),
            None if region_nm is None else _region(region_nm),
        )
        reach_nm = _positive("link-nm", link_nm)
        link = None if reach_nm is None else LinkRule(reach_nm, link_dark_frames)
        if pixel_size_nm is not None:
            check_given(pixel_size_nm)
        conversion = Conversion(
            tuple(tables), pixel_size_nm, filters, link, consecutive, camera.camera()
        )
        target = Target(output, draw, _positive("sr-pixel-nm", sr_pixel_nm), picture.style())
        target.check(conversion, replaced=overwrite)
        with (
            TerminalEvents(_PROGRAM, quiet=quiet or as_json, unit="rows") as events,
            converted(conversion, output.resolve().parent, events) as found,
        ):
            for note in target.notes(found, conversion):
                events.note(note)
            events.stage("writing")
            facts = target.write(found)
        if as_json:
            print_json(facts)
        elif not quiet:
            typer.echo(printable(_text(facts), one_line=False))


@dataclass(frozen=True)
class Target:
    """The file to write: a table, or an image and how to draw it."""

    path: Path
    drawing: Drawing
    sr_pixel_nm: float | None
    style: PictureStyle

    @property
    def is_image(self) -> bool:
        """Whether the name is that of an image."""
        return self.path.name.lower().endswith(_IMAGES)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are written."""
        if not self.is_image:
            return format_of(self.path).files_of(self.path)
        if self.path.suffix.lower() == ".png":
            return (self.path,)
        stem = self.path.with_suffix("")
        return self.path, stem.with_name(f"{stem.name.removesuffix('.ome')}.png")

    def check(self, conversion: Conversion, *, replaced: bool) -> None:
        """Refuse, before tables are read, a file that could not be written.

        Raises
        ------
        SettingError
            If its format is not known, a package is missing, or it is one of the tables.
        OutputError
            If it exists and is not to be replaced, or the folder cannot be written to.
        """
        read = {path.resolve() for path in conversion.inputs}
        for file in self.files:
            if file.resolve() in read:
                raise SettingError(f"{file} would replace a table that is read; choose another -o")
            if self.is_image:
                check_new(file, replaced=replaced)
        if not self.is_image:
            check_target(self.path, replaced=replaced)

    def notes(self, found: Converted, conversion: Conversion) -> tuple[str, ...]:
        """What a user should know of the light of the table that is to be written."""
        camera = conversion.camera
        own = () if camera is None else camera.notes
        if self.is_image or not (camera or set(IN_ADU) & set(found.facts.columns)):
            return own
        return (*own, *light_notes(self.path, camera))

    def write(self, found: Converted) -> dict[str, Any]:
        """Write the file, and return its facts for JSON."""
        provenance = {"software": SOFTWARE, **found.facts.provenance}
        facts = {
            "output": str(self.path),
            "rows_read": found.rows_read,
            "rows_kept": found.rows_kept,
            "molecules": found.rows.row_count,
            "columns": list(found.facts.columns),
        }
        if self.is_image:
            return {**facts, **self._draw(found, provenance)}
        facts["columns"] = list(format_of(self.path).held(found.facts.columns))
        stated = replace(found.facts, provenance=provenance)
        write_table(self.path, found.rows.blocks(), stated, found.rows.row_count)
        return facts

    def _draw(self, found: Converted, provenance: dict[str, Any]) -> dict[str, Any]:
        """Draw the molecules; the facts of the image."""
        gaussian = self.drawing is Drawing.GAUSSIAN
        if gaussian and "uncertainty_x_nm" not in found.facts.columns:
            raise SettingError(
                "--draw gaussian needs the uncertainty of each place, which the table does not "
                "have; expected --draw histogram"
            )
        if not found.rows.row_count:
            raise FilmError(
                "there is no molecule to draw; expected a row that meets all conditions: relax them"
            )
        pixel_nm = found.facts.pixel_size_nm
        edge_nm = self.sr_pixel_nm or (pixel_nm / 8 if pixel_nm else SR_PIXEL_NM)
        grid = _grid(found, edge_nm)
        grid.check()
        image = TableImage(grid, gaussian=gaussian)
        for rows in found.rows.blocks():
            image.add(rows)
        facts = {
            "sr_pixel_nm": edge_nm,
            "region_nm": list(grid.region_nm),
            "drawing": self.drawing.value,
            "outside": image.outside,
        }
        *images, picture = self.files
        for file in images:
            made = {**provenance, **facts, "value": "molecules per pixel"}
            write_image(file, image.pixels, ImageFacts(edge_nm, made))
        write_picture(picture, image.pixels, sr_pixel_size_nm=edge_nm, style=self.style)
        return facts


def _grid(found: Converted, edge_nm: float) -> Grid:
    """The region of the filter, or the camera's field, or up to the farthest molecule."""
    facts = found.facts
    asked: tuple[float, float, float, float] | None = facts.provenance["filters"].get("region_nm")
    if asked is not None:
        return Grid(edge_nm, asked)
    if facts.pixel_size_nm and facts.width_px and facts.height_px:
        field_nm = facts.width_px * facts.pixel_size_nm, facts.height_px * facts.pixel_size_nm
        return Grid(edge_nm, (0, 0, *field_nm))
    return Grid.up_to(edge_nm, found.extent_nm)


def _text(facts: dict[str, Any]) -> str:
    """A few lines for people."""
    joined = facts["rows_kept"] - facts["molecules"]
    linked = f", {joined:,} joined to others" if joined else ""
    outside = facts.get("outside")
    missed = f"; {outside:,} of them lie outside of the image" if outside else ""
    return (
        f"{facts['output']}: {facts['molecules']:,} molecules "
        f"({facts['rows_read']:,} rows read, {facts['rows_kept']:,} kept{linked}){missed}"
    )


def _positive(name: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise SettingError(f"{name} is {value:g}; expected a number above 0")
    return value


def _frames(text: str) -> tuple[int, int | None, int]:
    first, last, step = (*frames_range(text), 1)[:3]
    return first or 0, last, step or 1


def _region(text: str) -> tuple[float, float, float, float]:
    """``x,y,w,h`` as numbers."""
    try:
        x, y, width, height = (float(number) for number in text.split(","))
    except ValueError:
        x = y = width = height = math.nan
    if not (math.isfinite(x) and math.isfinite(y) and 0 < width < math.inf > height > 0):
        raise SettingError(f"region-nm is {text!r}; expected X,Y,W,H in nm, as 0,0,5000,5000")
    return x, y, width, height
