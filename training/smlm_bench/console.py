"""Errors and signals that end ``recon-bench`` become one message and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence

import typer
from rich.console import Console

from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.errors import OutputError, ReconError, SettingError


@contextlib.contextmanager
def bench_door(if_interrupted: str = "what was measured is lost") -> Iterator[None]:
    """One line on standard error, and the code of the kind of error; servers end with us.

    Parameters
    ----------
    if_interrupted : str
        How things stand after Ctrl-C or SIGTERM.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 2 tells of every missing GPU
    with door("recon-bench"):
        try:
            yield
        except (ReconError, BrokenPipeError):
            raise
        except SystemExit:  # a signal's, from the door
            typer.echo(f"recon-bench: ended; {if_interrupted}", err=True)
            raise
        except ModuleNotFoundError as error:
            raise SettingError(
                f"{error.name} is not installed; pip install 'smlm-recon[bench]'"
            ) from error
        except OSError as error:
            raise OutputError(f"{error}; is there room and a right to write?") from error
        except KeyboardInterrupt as error:
            typer.echo(f"recon-bench: interrupted; {if_interrupted}", err=True)
            raise typer.Exit(130) from error


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


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One line a row, below the heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own switch; with it alone, some lines come before it is read."""


def load_tensorflow_quietly() -> None:
    """Import Keras with TensorFlow; what that writes to standard error is dropped.

    Whoever sets ``TF_CPP_MIN_LOG_LEVEL`` to 0 sees all of it.
    """
    if "tensorflow" in sys.modules:
        return
    asked = os.environ.setdefault(_LEVEL, "3")
    with contextlib.nullcontext() if asked == "0" else _unheard():
        importlib.import_module("keras")
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Nothing reaches the process's standard error, whichever language writes it."""
    sys.stderr.flush()
    heard = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nobody:
            os.dup2(nobody.fileno(), 2)
            yield
    finally:
        os.dup2(heard, 2)
        os.close(heard)
