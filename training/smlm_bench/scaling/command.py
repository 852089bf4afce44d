"""``recon-bench scaling``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_door, grid, note
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import SettingError

with imported_when_used():
    from smlm_bench import machine
    from smlm_bench.scaling import expected as calculation
    from smlm_bench.scaling import measure

SERVERS_MOST = 8


def scaling(
    servers: Annotated[
        str, typer.Option(help="Numbers of servers, separated by commas; one first.")
    ] = "1,2,4",
    wait_ms: Annotated[
        float, typer.Option(min=1, max=10_000, help="Time that a network takes for a request.")
    ] = 150.0,
    requests: Annotated[
        int, typer.Option(min=8, max=10_000, help="Requests of the film for each server.")
    ] = 100,
    expected: Annotated[
        bool,
        typer.Option(
            "--expected", help="Print what GPU clusters should do, by calculation, and stop."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON file to write.")
    ] = None,
) -> None:
    """Measure how throughput grows with the number of servers.

    One client and real servers on this machine, whose network computes nothing and takes a fixed
    time, as a GPU would. At last a server joins a run, and one stops half way. docs/scaling.md
    states what follows.
    """
    with bench_door():
        if expected:
            typer.echo(calculation.table(), nl=False)
            return
        counts = _counts(servers)
        found = measure.measure(counts, wait_s=wait_ms / 1000, requests=requests, tell=note)
        heads = ["servers", "requests/s", "of linear", "of the ideal", "added ms", "shares"]
        typer.echo(grid(heads, [_row(each) for each in found.scaling]))
        if (join := found.join) is not None:
            typer.echo(
                f"one of {join.servers} joined after a third: its first request came after "
                f"{join.first_request_s:.1f} s, then its share was {join.share:.3f}; "
                f"{_before_and_after(join)}"
            )
        if found.drain is not None:
            typer.echo(
                f"one of {found.drain.servers} stopped half way: {_before_and_after(found.drain)}"
            )
        if output is not None:
            content = {
                "machine": machine.machine(),
                "wait_ms": wait_ms,
                **asdict(found),
            }
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _counts(servers: str) -> list[int]:
    counts = [int(word) if word.strip().isdigit() else 0 for word in servers.split(",")]
    if not all(1 <= count <= SERVERS_MOST for count in counts):
        raise SettingError(
            f"servers is {servers!r}; expected numbers from 1 to {SERVERS_MOST}, as 1,2,4"
        )
    return counts


def _before_and_after(run: measure.Join | measure.Drain) -> str:
    return (
        f"{run.requests_per_s_before:.1f}, then {run.requests_per_s_after:.1f} requests/s, "
        f"{run.failures} sent again, {'the same bits' if run.same_bits else 'OTHER BITS'}"
    )


def _row(figures: measure.Scaling) -> list[str]:
    return [
        f"{figures.servers}",
        f"{figures.requests_per_s:.1f}",
        f"{figures.linear:.3f}",
        f"{figures.ideal:.3f}",
        f"{figures.added_ms:.1f}",
        " ".join(f"{share:.3f}" for share in figures.shares),
    ]
