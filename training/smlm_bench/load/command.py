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
from smlm_pipeline.errors import SettingError


def load(
    server: Annotated[
        list[str] | None,
        typer.Option(help="HOST:PORT of a running server, once or twice; else one is started."),
    ] = None,
    servers: Annotated[int, typer.Option(min=1, max=2, help="Servers to start.")] = 1,
    clients: Annotated[int, typer.Option(min=1, max=1000, help="That send at once.")] = 4,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="Time in which requests begin.")
    ] = 30.0,
    sizes_px: Annotated[
        str, typer.Option(help="Edges of the frames, with commas between; mixed at random.")
    ] = "64,128,256",
    frames: Annotated[
        int, typer.Option(min=1, max=contract.MAX_FRAMES_PER_CHUNK, help="Of each request.")
    ] = 8,
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(contract.ENSEMBLES)}.")
    ] = contract.RECONSTRUCTION.name,
    seed: Annotated[int, typer.Option(min=0, help="Of the mixture of sizes.")] = 1,
    remote: Annotated[bool, typer.Option(help="Let --server be on another machine.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON to write.")] = None,
) -> None:
    """Put one or two servers under load for a stated time, by default on this machine only."""
    with bench_door():
        from smlm_bench.load.clients import Load
        from smlm_bench.load.run import loaded
        from smlm_bench.load.summary import summary_lines, summary_table
        from smlm_bench.machine import machine

        if model not in contract.ENSEMBLES:
            raise SettingError(
                f"no model {model!r}; expected one of {', '.join(contract.ENSEMBLES)}"
            )
        asked = Load(clients, seconds, model, seed)
        sizes = _sizes(sizes_px)
        errors = Console(stderr=True)

        def tell(answers: int, left_s: float) -> None:
            errors.print(f"{answers:,} answers, {left_s:.0f} s left")

        found, count = loaded(
            asked, sizes, frames, server or [], servers=servers, remote=remote, tell=tell
        )
        told = {
            "machine": machine(),
            "load": {**asdict(asked), "servers": count, "frames": frames, "sizes_px": sizes},
            **asdict(found),
            "shared_memory_growth_bytes": found.shared_memory_growth_bytes,
        }
        bench_console().print(
            summary_table(found, f"{clients} clients, {count} server(s), {model}; {machine()}")
        )
        for line in summary_lines(found):
            typer.echo(line)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _sizes(sizes_px: str) -> list[int]:
    multiple, most = contract.SIZE_MULTIPLE_PX, contract.TILE_SIZES_PX[-1]
    sizes = [int(each) if each.strip().isdigit() else 0 for each in sizes_px.split(",")]
    if not all(contract.MIN_FRAME_PX <= each <= most and each % multiple == 0 for each in sizes):
        raise SettingError(
            f"sizes are {sizes_px!r}; expected multiples of {multiple} from "
            f"{contract.MIN_FRAME_PX} to {most}, with commas between"
        )
    return sizes
