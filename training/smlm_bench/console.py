"""Door, tables and TensorFlow's silence: what the commands of ``recon-bench`` share."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smlm_pipeline.cli.exit_codes import door

PROGRAM = "recon-bench"

bench_door = functools.partial(
    door,
    PROGRAM,
    if_interrupted="what was measured is lost",
    extra="bench",
    os_error_is_output=True,
)
"""The door of every command; a command that keeps its results passes another
``if_interrupted``."""

Folder = Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")]
"""Option of a command that writes several files."""

ModelName = Annotated[str, typer.Option(help="Model whose network is used.")]
"""Option of a command that runs one of our networks."""

FILE_COLUMNS = 240
"""Width of a file or a pipe, in columns: no table is wider."""


def bench_console() -> Console:
    """Open standard output, wide enough for whole tables where it is a file or a pipe.

    Rich would take 80 columns there, or those of the terminal that the command was typed in, and
    cut off numbers.

    Returns
    -------
    Console
        Console of standard output.
    """
    console = Console()
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    return console


def note(text: str) -> None:
    """Print a line for the user on standard error.

    Parameters
    ----------
    text : str
        The line, without the name of the program.
    """
    typer.echo(f"{PROGRAM}: {text}", err=True)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown.

    Parameters
    ----------
    heads : sequence of str
        Titles of the columns.
    rows : sequence of sequence of str
        Cells of each row.

    Returns
    -------
    str
        One line for each row, below the heads.
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own switch; some of its lines come before it is read."""


def load_tensorflow_quietly() -> None:
    """Import Keras with TensorFlow, and drop what they write to standard error meanwhile.

    Set ``TF_CPP_MIN_LOG_LEVEL`` to 0 to see it.
    """
    if "tensorflow" in sys.modules:
        return
    level = os.environ.setdefault(_LOG_LEVEL, "3")  # 2 reports every missing GPU
    with contextlib.nullcontext() if level == "0" else _standard_error_dropped():
        importlib.import_module("keras")
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _standard_error_dropped() -> Iterator[None]:
    """Redirect the process's standard error, that of C++ code included, to nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as dropped:
            os.dup2(dropped.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
