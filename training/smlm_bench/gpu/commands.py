"""``recon-bench gpu-check``, ``gpu-kernels`` and ``gpu-expected``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from smlm_bench.console import bench_door
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used

with imported_when_used():
    from smlm_bench.gpu import check, expected, kernels


def gpu_check(
    output: Annotated[Path, typer.Option("-o", "--output", help="Report to write.")] = Path(
        "gpu-report.md"
    ),
    largest_tile_px: Annotated[
        int,
        typer.Option(
            envvar="RECON_LARGEST_TILE_PX",
            help="Largest tile to serve; 256 for a GPU with less than 24 GB.",
        ),
    ] = contract.TILE_SIZES_PX[-1],
) -> None:
    """Check and measure everything that needs an NVIDIA GPU, and write one report."""
    with bench_door(if_interrupted=f"{output} has what was found until then"):
        exit_code, failures = check.write_report(
            output, typer.echo, largest_tile_px=largest_tile_px
        )
        typer.echo(f"report: {output}")
        if failures:
            typer.echo("\n".join(f"gpu-check: {failure}" for failure in failures), err=True)
            raise typer.Exit(exit_code)


def gpu_kernels() -> None:
    """Compare the CuPy kernels with NumPy's, time them, and print JSON."""
    with bench_door():
        typer.echo(json.dumps(kernels.report(), indent=2))


def gpu_expected(
    model_repository: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Repository of the networks; by default that installed."),
    ] = None,
) -> None:
    """Print the frames per second that GPUs are expected to compute, by calculation.

    The tables of docs/gpu/expected.md, in Markdown. Each layer takes as long as its arithmetic or
    its memory at a share of the vendor's peaks.
    """
    with bench_door():
        typer.echo(expected.tables(model_repository), nl=False)
