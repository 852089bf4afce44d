"""``recon-client merge``: the parts of a film in, its image out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.options import AsJson, Quiet
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.parts.merging import merge_parts
from smlm_pipeline.run.memory_budget import parse_bytes

_PROGRAM = "recon-client"


def merge(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="PART...",
            help="Files of 'submit --partial', or their folder: all parts of a film.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Image to write, or its folder; by default the one that the parts were submitted "
            "for.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an earlier image, and table, of that name."),
    ] = False,
    molecules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of molecules to write; by default the one that the parts were submitted "
            "for.",
            show_default=False,
        ),
    ] = None,
    film: Annotated[
        Path | None,
        typer.Option(
            metavar="FILM", help="The film, where it has been moved since.", show_default=False
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Most memory, as 4GiB; by default a quarter of the machine's.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Merge the parts of a film into its image.

    PARTs are what 'submit --partial' wrote, from anywhere, in any order. All files of one run
    are written, with the same bits: drift, resolution, refinement and table included. Gaps,
    overlaps, and parts of other films, networks, options or releases are refused.
    """
    with door(as_json=as_json):
        with TerminalEvents(_PROGRAM, quiet=quiet or as_json) as events:
            facts = merge_parts(
                files,
                output,
                film=film,
                molecules=molecules,
                overwrite=overwrite,
                memory_bytes=None if memory is None else parse_bytes(memory),
                events=events,
            )
        if as_json:
            print_json(facts.as_dict())
        elif not quiet:
            typer.echo(facts.as_text())
