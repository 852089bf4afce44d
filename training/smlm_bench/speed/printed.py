"""Figures of ``recon-bench speed`` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from smlm_bench.speed.markdown import SPEED_HEADS, as_words, speed_row
from smlm_bench.speed.messages import MESSAGE_HEADS, message_rows
from smlm_bench.speed.networks import networks_table
from smlm_bench.speed.run import Figures


def print_figures(console: Console, figures: Figures) -> None:
    """Print speeds of all ways, bytes, lines, peaks of memory, and networks.

    Parameters
    ----------
    console : Console
        Standard output.
    figures : Figures
        Everything measured.
    """
    console.print(_table(SPEED_HEADS, [speed_row(each) for each in figures.speeds]))
    console.print(_table(MESSAGE_HEADS, message_rows(figures.messages)))
    for line in _lines(figures):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if figures.networks:
        console.print(networks_table(figures.networks))


def _table(heads: tuple[str, ...], rows: Sequence[Sequence[str]]) -> Table:
    table = Table()
    for head in heads:
        named = head in ("network", "engine", "film")
        table.add_column(head, justify="left" if named else "right", no_wrap=named)
    for row in rows:
        table.add_row(*row)
    return table


def _lines(figures: Figures) -> list[str]:
    lines = [
        f"{line.name}, {line.against}: {as_words(line)}, R2 {line.r2:.4f}" for line in figures.lines
    ]
    peaks = [
        f"peak memory, {peak.name}, {peak.frames} frames of {peak.size_px} px: {peak.mib:.0f} MiB"
        for peak in figures.peaks
    ]
    return [*figures.left_out, *lines, *peaks]
