"""Options of all commands that take a film, which choose the part of its file to read."""

from __future__ import annotations

from typing import Annotated

import typer

from smlm_pipeline.film.selection import Selection, frames_range, region

FILM_PANEL = "Film"
"""Panel of the options that choose the film."""

Frames = Annotated[
    str | None,
    typer.Option(
        metavar="A:B[:STEP]",
        help="Frames from A up to B (excluded), counted from 0; 0::2 takes every second one.",
        rich_help_panel=FILM_PANEL,
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,W,H", help="Region to take, in camera pixels.", rich_help_panel=FILM_PANEL
    ),
]
Channel = Annotated[
    int | None, typer.Option(min=0, help="Channel to take, from 0.", rich_help_panel=FILM_PANEL)
]
Plane = Annotated[
    int | None, typer.Option(min=0, help="Plane in z to take, from 0.", rich_help_panel=FILM_PANEL)
]
Position = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Position to take, or one of the films of a file, from 0.",
        rich_help_panel=FILM_PANEL,
    ),
]
AllowPartial = Annotated[
    bool,
    typer.Option(
        "--allow-partial",
        help="Leave out frames that the film lacks, instead of refusing it.",
        rich_help_panel=FILM_PANEL,
    ),
]
TimeAxis = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="Axis of the frames, where the file gives it another name.",
        rich_help_panel=FILM_PANEL,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        metavar="GLOB",
        help="Names of the film's files in a folder or beside a named file, as 'cellA_*.tif' or "
        "'a_?.tif|a_??.tif'.",
        rich_help_panel=FILM_PANEL,
    ),
]


def selection_of(
    channel: int | None,
    z: int | None,
    position: int | None,
    time_axis: str | None,
    *,
    frames: str | None = None,
    roi: str | None = None,
    pattern: str | None = None,
) -> Selection:
    """The options as a selection.

    Raises
    ------
    SettingError
        If the range of frames or the region is malformed.
    """
    return Selection(
        frames=(0, None) if frames is None else frames_range(frames),
        roi_px=None if roi is None else region(roi),
        channel=channel,
        z=z,
        position=position,
        time_axis=time_axis and time_axis.upper(),
        pattern=pattern,
    )
