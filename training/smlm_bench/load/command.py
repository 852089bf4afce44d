"""``recon-bench load``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smlm_bench.console import bench_console, bench_door
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import SettingError

with imported_when_used():
    from smlm_bench import machine
    from smlm_bench.load import clients as load_clients
    from smlm_bench.load import run, summary

_SERVERS, _REQUESTS, _OUTPUT = "Servers", "Clients and requests", "Output"


def load(
    server: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST:PORT of a running server, once or twice; else one is started.",
            rich_help_panel=_SERVERS,
        ),
    ] = None,
    servers: Annotated[
        int, typer.Option(min=1, max=2, help="Servers to start.", rich_help_panel=_SERVERS)
    ] = 1,
    clients: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Clients at the same time.", rich_help_panel=_REQUESTS),
    ] = 4,
    seconds: Annotated[
        float,
        typer.Option(
            min=1, max=3600, help="Time in which requests begin.", rich_help_panel=_REQUESTS
        ),
    ] = 30.0,
    sizes_px: Annotated[
        str,
        typer.Option(
            help="Edges of the frames, separated by commas; mixed at random.",
            rich_help_panel=_REQUESTS,
        ),
    ] = "64,128,256",
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            max=contract.MAX_FRAMES,
            help="Frames of each request.",
            rich_help_panel=_REQUESTS,
        ),
    ] = 8,
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(contract.ENSEMBLES)}.", rich_help_panel=_SERVERS)
    ] = contract.RECONSTRUCTION.name,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the mixture of sizes.", rich_help_panel=_REQUESTS)
    ] = 1,
    remote: Annotated[
        bool, typer.Option(help="Allow a --server on another machine.", rich_help_panel=_SERVERS)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="JSON file to write.", rich_help_panel=_OUTPUT),
    ] = None,
) -> None:
    """Put one or two servers under load for a given time, by default on this machine only."""
    with bench_door():
        if model not in contract.ENSEMBLES:
            raise SettingError(
                f"no model {model!r}; expected one of {', '.join(contract.ENSEMBLES)}"
            )
        plan = load_clients.Load(clients, seconds, model, seed)
        sizes = _sizes(sizes_px)
        errors = Console(stderr=True)

        def tell(answers: int, left_s: float) -> None:
            errors.print(f"{answers:,} answers, {left_s:.0f} s left")

        figures, server_count = run.put_on_servers(
            plan, sizes, frames, server or [], servers=servers, remote=remote, tell=tell
        )
        title = f"{clients} clients, {server_count} server(s), {model}; {machine.machine()}"
        bench_console().print(summary.summary_table(figures, title))
        for line in summary.summary_lines(figures):
            typer.echo(line)
        if output is not None:
            content = {
                "machine": machine.machine(),
                "load": {
                    **asdict(plan),
                    "servers": server_count,
                    "frames": frames,
                    "sizes_px": sizes,
                },
                **asdict(figures),
                "shared_memory_growth_bytes": figures.shared_memory_growth_bytes,
            }
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _sizes(sizes_px: str) -> list[int]:
    multiple, most = contract.SIZE_MULTIPLE_PX, contract.TILE_SIZES_PX[-1]
    sizes = [int(word) if word.strip().isdigit() else 0 for word in sizes_px.split(",")]
    if not all(contract.MIN_FRAME_PX <= size <= most and size % multiple == 0 for size in sizes):
        raise SettingError(
            f"sizes are {sizes_px!r}; expected multiples of {multiple} from "
            f"{contract.MIN_FRAME_PX} to {most}, separated by commas"
        )
    return sizes
