"""``recon-bench table``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_console, bench_door, note
from smlm_bench.method import CLASSICAL_NAMES, RUNTIMES
from smlm_pipeline.cli.film_options import Pattern
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.selection import frames_range

with imported_when_used():
    from smlm_bench import catalogue, choice
    from smlm_bench.table import compare, facts, passes, progress, results
    from smlm_bench.table import film as table_film

_METHODS = (
    f"{', '.join(CLASSICAL_NAMES)}, or NETWORK@RUNTIME with a runtime of {', '.join(RUNTIMES)}"
)
_FILM, _METHODS_PANEL, _TIMES = "Film", "Methods", "Times"
_OPTICS, _OUTPUT = "Optics and camera", "Output"


def table(
    film: Annotated[Path, typer.Argument(help="Film: TIFF, ND2, Zarr, as for recon-client.")],
    positions: Annotated[
        Path,
        typer.Option(
            help="True positions: CSV or XLSX, ThunderSTORM's columns.", rich_help_panel=_FILM
        ),
    ],
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Separated by commas; by default all available ones.",
            rich_help_panel=_METHODS_PANEL,
        ),
    ] = None,
    frames: Annotated[
        str,
        typer.Option(
            metavar="A:B[:STEP]",
            help="From frame A (0 is the first) up to B, without B; 0::2 is every second frame.",
            rich_help_panel=_FILM,
        ),
    ] = ":",
    pattern: Pattern = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the table and the kept results.",
            rich_help_panel=_OUTPUT,
        ),
    ] = Path("bench/table"),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a table of other methods, frames or another film.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="A run's folder or an ONNX file, instead of the usual places.",
            rich_help_panel=_METHODS_PANEL,
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A Triton server, for NETWORK@server.",
            rich_help_panel=_METHODS_PANEL,
        ),
    ] = None,
    picasso_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="Python that has the package picassosr, for picasso; by default this one or that "
            "of 'make picasso'.",
            rich_help_panel=_METHODS_PANEL,
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Passes over the film, for times.", rich_help_panel=_TIMES
        ),
    ] = 3,
    repeat_limit_s: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="S",
            help="No further pass of a method that would exceed this.",
            rich_help_panel=_TIMES,
        ),
    ] = 600.0,
    camera: Annotated[
        str, typer.Option(metavar="KIND", help="emccd or scmos.", rich_help_panel=_OPTICS)
    ] = "emccd",
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="NM",
            help="Edge of a camera pixel; by default as the film states.",
            rich_help_panel=_OPTICS,
        ),
    ] = None,
    sigma_px: Annotated[
        float | None,
        typer.Option(min=0.3, metavar="PX", help="Sigma of a spot.", rich_help_panel=_OPTICS),
    ] = None,
    molecule_photons: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="N", help="Photons of a molecule in a frame.", rich_help_panel=_OPTICS
        ),
    ] = None,
    gain_adu_per_photon: Annotated[
        float | None,
        typer.Option(min=1e-6, metavar="ADU", help="Gain of the camera.", rich_help_panel=_OPTICS),
    ] = None,
    offset_adu: Annotated[
        float | None,
        typer.Option(min=0, metavar="ADU", help="Reading without light.", rich_help_panel=_OPTICS),
    ] = None,
) -> None:
    """Reconstruct a film by every method, score all with one scorer, write a table and a figure.

    Methods: blank, widefield, single-emitter, picasso, cel0, falcon; and
    NETWORK@RUNTIME, where networks are deep-storm, unet-interpolated, unet,
    unet-fast, unet-map, fid-storm, and runtimes are keras, onnx, local (the
    client in this process), triton (a server that is started here) and server
    (that of --server). NETWORK+refine@local, @triton or @server is the client
    with --refine auto.

    Optics and camera are estimated from the film, as by 'recon-train match',
    unless options state them. Run the same command to continue an interrupted
    run; finished passes are not repeated.
    """
    with bench_door(if_interrupted="the same command continues it"):
        named, part = None if methods is None else _names(methods), frames_range(frames)
        sources = catalogue.Sources(_networks(network or []), server, picasso_python)
        results.check_output(output)
        chosen = choice.choose(named, sources, note)
        known = facts.Known(
            camera, pixel_size_nm, sigma_px, molecule_photons, gain_adu_per_photon, offset_adu
        )
        compared = table_film.read_compared_film(film, positions, part, known, pattern)
        if not overwrite:
            results.check_replaceable(output, compared, chosen.names)
        for remark in compared.notes:
            note(remark)
        if any(asdict(compared.outside).values()):
            note(
                f"left out of {positions.name}: {compared.outside.of_frames:,} molecules in other "
                f"frames, {compared.outside.of_field:,} outside of the field"
            )
        timing = passes.Timing(repeats, repeat_limit_s)
        with progress.TableProgress(len(compared.frames_adu)) as bars:
            compare.compare(compared, chosen, sources, output, timing, bars.tell, bars.note)
        bench_console().print(
            (output / "table.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True
        )
        typer.echo(f"{output / 'table.md'}, table.csv, table.json and figure.png are written")


def _names(methods: str) -> list[str]:
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise SettingError(f"no method is named; expected some of {_METHODS}")
    return list(dict.fromkeys(names))


def _networks(given: list[str]) -> dict[str, Path]:
    networks = {}
    for option in given:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise SettingError(f"--network {option!r}; expected NAME=PATH, as in unet=runs/mine")
        networks[name] = Path(path)
    return networks
