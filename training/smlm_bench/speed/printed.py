"""Figures of ``recon-bench speed`` on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from smlm_bench.speed.engines import titled
from smlm_bench.speed.markdown import as_words
from smlm_bench.speed.measure import Speed
from smlm_bench.speed.networks import networks_table
from smlm_bench.speed.run import Figures


def print_figures(console: Console, figures: Figures) -> None:
    """Print speeds, lines, stages, peaks of memory, and networks.

    Parameters
    ----------
    console : Console
        Standard output.
    figures : Figures
        Everything measured.
    """
    console.print(_speeds_table(figures.speeds))
    for line in _lines(figures):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if figures.networks:
        console.print(networks_table(figures.networks))


def _speeds_table(speeds: list[Speed]) -> Table:
    table = Table()
    for heading in ("engine", "px", "frames", "ms a frame", "fastest to slowest"):
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    table.add_column("of the limit", justify="right")
    table.add_column("x Deep-STORM", justify="right")
    for speed in speeds:
        table.add_row(
            titled(speed.name, speed.batch),
            str(speed.size_px),
            str(speed.frames),
            f"{speed.ms_per_frame:.2f}",
            f"{speed.fastest_ms:.2f} to {speed.slowest_ms:.2f}",
            f"{speed.share_of_limit:.1%}",
            "-" if speed.times_peer is None else f"{speed.times_peer:.1f}",
        )
    return table


def _lines(figures: Figures) -> list[str]:
    lines = [
        f"{line.name}, {line.against}: {as_words(line)}, R2 {line.r2:.4f}" for line in figures.lines
    ]
    for size_px, stages_ms in figures.stages.items():
        stages, served = _in_words(stages_ms), _in_words(figures.served[size_px])
        lines += [
            f"{size_px} px, stage by stage in one process, ms a frame: {stages}",
            f"{size_px} px, inside the server, ms a frame, overlapping: {served}",
        ]
    return lines + [
        f"peak memory, {titled(peak.name, peak.batch)}, {peak.frames} frames of {peak.size_px} "
        f"px: {peak.mib:.0f} MiB"
        for peak in figures.peaks
    ]


def _in_words(costs_ms: dict[str, float]) -> str:
    return ", ".join(f"{name} {cost_ms:.3f}" for name, cost_ms in costs_ms.items())
