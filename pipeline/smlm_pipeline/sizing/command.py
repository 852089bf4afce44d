"""``recon-client plan sizes``; a server's start calls it as ``python -m smlm_pipeline.sizing``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.door import door
from smlm_pipeline.settings import Settings
from smlm_pipeline.sizing import pools


def sizes(
    tile_px: Annotated[
        int, typer.Option(envvar="RECON_LARGEST_TILE_PX", help="Largest tile edge.")
    ] = Settings.tile_px,
    frames: Annotated[
        int | None, typer.Option(help="Frames of a request; by default what the client sends.")
    ] = None,
    zoom: Annotated[int, typer.Option(help="Fine pixels per camera pixel.")] = Settings.zoom,
    in_flight: Annotated[
        int, typer.Option(help="Requests for one network at once, of all clients.")
    ] = pools.IN_FLIGHT,
    gpus: Annotated[int, typer.Option(min=1, help="How many GPUs the server uses.")] = 1,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Ensemble that is served, several times for several; default all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes as JSON.")] = False,
) -> None:
    """Print the flags of tritonserver that set its pools and shared memory, one a line."""
    with door():
        need = pools.sizes(
            model or list(contract.STEPS),
            tile_px=tile_px,
            frames=frames,
            zoom=zoom,
            in_flight=in_flight,
        )
        if as_json:
            typer.echo(json.dumps(need.as_dict(), indent=2))
        else:
            typer.echo("\n".join(need.flags(gpus)))
