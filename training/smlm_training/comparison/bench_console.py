"""Where the benchmarks print their tables."""

from __future__ import annotations

from rich.console import Console

FILE_COLUMNS = 240
"""Columns of what is no terminal: more than any table has."""


def bench_console() -> Console:
    """Standard output, as wide as the tables need where it is a file or a pipe.

    Rich takes 80 columns there, or those of the terminal that the command was typed in, and
    cuts off numbers.
    """
    console = Console()
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    return console
