"""Options of the commands that reconstruct films, one or many, as groups."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.camera_options import TABLE_PANEL
from smlm_pipeline.cli.connection_options import ConnectionOptions
from smlm_pipeline.cli.film_options import (
    FILM_PANEL,
    Channel,
    Frames,
    Plane,
    Position,
    Roi,
    TimeAxis,
    selection_of,
)
from smlm_pipeline.cli.options import (
    ENGINE_PANEL,
    Model,
    Precision,
    Repository,
    Server,
    precision_name,
)
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import (
    DEFAULT_PIXEL_SIZE_NM,
    DRIFT_AUTO,
    DRIFT_OFF,
    MOLECULES_PROBABILITY,
    Settings,
)

IMAGE_PANEL, PICTURE_PANEL = "Image", "Picture"
INTERRUPTED_PANEL, RESOURCES_PANEL = "Interrupted runs", "Requests and memory"


class EngineName(str, enum.Enum):
    """Where the network runs."""

    TRITON = "triton"
    LOCAL = "local"


@dataclass(frozen=True)
class FilmOptions:
    """The part of a film to take, and the size of its pixels."""

    frames: Frames = None
    roi: Roi = None
    channel: Channel = None
    z: Plane = None
    position: Position = None
    time_axis: TimeAxis = None
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            help="Camera pixel in the sample plane; by default the file's, "
            f"else {DEFAULT_PIXEL_SIZE_NM:g}.",
            show_default=False,
            rich_help_panel=FILM_PANEL,
        ),
    ] = None

    def selection(self, pattern: str | None = None) -> Selection:
        """The part of a film, whose files match the pattern if there is one.

        Raises
        ------
        SettingError
            If the range of frames or the region is malformed.
        """
        return selection_of(
            self.channel,
            self.z,
            self.position,
            self.time_axis,
            frames=self.frames,
            roi=self.roi,
            pattern=pattern,
        )


@dataclass(frozen=True)
class PictureOptions:
    """Colours, contrast and resolution of the picture."""

    cmap: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Colour map: hot, or one of the package cmap, as gray, viridis or magma.",
            rich_help_panel=PICTURE_PANEL,
        ),
    ] = DEFAULT_STYLE.cmap
    contrast: Annotated[
        str,
        typer.Option(
            metavar="auto|LOW:HIGH|P%",
            help="Values of the first and last colour, in emitters per SR pixel; or the percentile "
            "of the pixels that are not zero that gets the last colour.",
            rich_help_panel=PICTURE_PANEL,
        ),
    ] = DEFAULT_STYLE.contrast
    colour_bar: Annotated[
        bool,
        typer.Option(
            "--colour-bar",
            help="Add a bar that states the values of the colours.",
            rich_help_panel=PICTURE_PANEL,
        ),
    ] = DEFAULT_STYLE.colour_bar
    dpi: Annotated[
        int | None,
        typer.Option(
            help="Dots per inch that the file states, for print.", rich_help_panel=PICTURE_PANEL
        ),
    ] = DEFAULT_STYLE.dpi

    def style(self) -> PictureStyle:
        """The choices for the picture.

        Raises
        ------
        SettingError
            If one cannot be met.
        """
        style = PictureStyle(self.cmap, self.contrast, self.colour_bar, self.dpi)
        style.check()
        return style


@dataclass(frozen=True)
class RunOptions:
    """How a film is cut, sent, drawn and refined, and by which engine."""

    molecules_probability: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Least probability of a molecule in the table, from "
            f"{contract.MOLECULE_PROBABILITY_MIN:g} on.",
            rich_help_panel=TABLE_PANEL,
        ),
    ] = MOLECULES_PROBABILITY
    zoom: Annotated[
        int, typer.Option(help="SR pixels per camera pixel.", rich_help_panel=IMAGE_PANEL)
    ] = Settings.zoom
    drift: Annotated[
        str,
        typer.Option(
            metavar="auto|off|FILE",
            help="Take out the drift of the sample: estimated from its molecules, or that of a "
            "CSV file in nm for each frame. The uncorrected image and the drift are written too.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = str(Settings.drift)
    resolution: Annotated[
        bool,
        typer.Option(
            "--resolution",
            help="Measure the resolution by Fourier ring correlation of two halves of the film: "
            "number, curve and map.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = Settings.resolution
    error_map: Annotated[
        bool,
        typer.Option(
            "--error-map",
            help="Blur the image back and compare it with the wide field of the film (RSP, RSE): "
            "numbers, checks, a map of the errors and the wide field.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = Settings.error_map
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Also write the report as one HTML page, which opens offline, and its numbers as "
            "JSON; implies --error-map.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = False
    refine: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Sharpen the image by the precision that the network states, in N steps or, with "
            "auto, as far as one half of the film foretells the other (up to 67 million SR "
            "pixels); the plain sum is written beside it.",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = str(Settings.refine)
    brightness: Annotated[
        str,
        typer.Option(
            metavar="auto|off",
            help="Whether to look before the run how unlike molecules are in brightness, and to "
            "correct the scale by it, for right counts in dense films (docs/limits.md).",
            rich_help_panel=IMAGE_PANEL,
        ),
    ] = Settings.brightness
    model: Model = Settings.model
    server: Server = None
    engine: Annotated[
        EngineName,
        typer.Option(
            help="'local' runs the network in this process, without Triton.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = EngineName.TRITON
    precision: Precision = None
    model_repository: Repository = None
    attempts: Annotated[
        int,
        typer.Option(
            help="How often a request is sent where another attempt may help.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = Settings.attempts
    timeout_s: Annotated[
        int,
        typer.Option(
            help="Longest wait for one request before it is sent again.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = Settings.timeout_s
    chunk_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of one request; by default as many as suit the server.",
            rich_help_panel=RESOURCES_PANEL,
        ),
    ] = Settings.chunk_frames
    tile_px: Annotated[
        int,
        typer.Option(
            help="Largest tile edge; larger fields are cut into tiles.",
            rich_help_panel=RESOURCES_PANEL,
        ),
    ] = Settings.tile_px
    in_flight: Annotated[
        int | None,
        typer.Option(
            help="Concurrent requests; by default as many as keep the servers busy.",
            rich_help_panel=RESOURCES_PANEL,
        ),
    ] = Settings.in_flight
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Most memory of this client, as 4GiB; by default a quarter of the machine's. The "
            "memory of a server and of --engine local's network is not included.",
            rich_help_panel=RESOURCES_PANEL,
        ),
    ] = None
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial",
            help="Take a film that lacks frames, and leave out chunks that fail for good; the "
            "image's metadata lists the missing frames.",
            rich_help_panel=INTERRUPTED_PANEL,
        ),
    ] = Settings.allow_partial
    checkpoint_every_s: Annotated[
        float,
        typer.Option(
            help="Shortest pause between two writings of the checkpoint.",
            rich_help_panel=INTERRUPTED_PANEL,
        ),
    ] = Settings.checkpoint_every_s

    def settings(self) -> Settings:
        """The settings of a run.

        Raises
        ------
        SettingError
            If a value is out of range.
        """
        refine = self.refine
        return Settings(
            model=self.model,
            precision=precision_name(self.precision),
            zoom=self.zoom,
            refine=int(refine) if refine.isdecimal() else refine,
            brightness=self.brightness,
            drift=self.drift if self.drift in (DRIFT_OFF, DRIFT_AUTO) else Path(self.drift),
            resolution=self.resolution,
            error_map=self.error_map or self.report,
            chunk_frames=self.chunk_frames,
            in_flight=self.in_flight,
            attempts=self.attempts,
            timeout_s=self.timeout_s,
            tile_px=self.tile_px,
            memory_bytes=None if self.memory is None else parse_bytes(self.memory),
            allow_partial=self.allow_partial,
            checkpoint_every_s=self.checkpoint_every_s,
        )

    def engine_choice(self, connection: ConnectionOptions) -> str | Servers:
        """The engine: the named servers, or one that is started here.

        Raises
        ------
        SettingError
            If an address is malformed, or a certificate cannot be used, or no server is named that
            it could be shown to.
        """
        if self.engine is EngineName.TRITON:
            tls = connection.tls()
            if self.server:
                return Servers.parse(self.server, tls)
            if tls is not None:
                raise SettingError(
                    "there are options of TLS, or a token, but no --server; expected the servers "
                    "that they are for: name them, or leave these options (and the variables "
                    "RECON_TLS..., RECON_TOKEN_FILE) out"
                )
        return self.engine.value
