"""``recon-bench gate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_door, grid, note
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench import machine
    from smlm_bench.gate import measure


def gate(
    size_px: Annotated[
        int, typer.Option(min=contract.MIN_FRAME_PX, max=512, help="Edge of the frames.")
    ] = 256,
    frames: Annotated[int, typer.Option(min=1, max=64, help="Frames of a request.")] = 16,
    requests: Annotated[
        int, typer.Option(min=3, max=10_000, help="Requests of each way in each of five rounds.")
    ] = 100,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON file to write.")
    ] = None,
) -> None:
    """Measure what a gate or a proxy before a server costs, side by side.

    A server that answers at once, reached directly, through the gate with and without TLS, and
    through nginx and HAProxy where they are installed. docs/gate.md states what follows.
    """
    with bench_door():
        figures = measure.measure(size_px, frames, requests, tell=note)
        heads = ["way", "median ms", "p95 ms", "requests/s of 8", "CPU ms", "checks shapes"]
        typer.echo(
            grid(
                heads,
                [
                    [
                        each.name,
                        f"{each.median_ms:.1f}",
                        f"{each.p95_ms:.1f}",
                        f"{each.requests_per_s:.0f}",
                        f"{each.cpu_ms:.1f}",
                        "yes" if each.checks_shapes else "no",
                    ]
                    for each in figures
                ],
            )
        )
        if output is not None:
            content = {
                "machine": machine.machine(),
                "request": {"size_px": size_px, "frames": frames},
                "ways": [asdict(each) for each in figures],
            }
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
