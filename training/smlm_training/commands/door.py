"""What all commands share: errors become one message, files are read or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tifffile
import typer
from numpy.typing import NDArray

from smlm_pipeline.errors import OutputError, ReconError, StackError


@contextlib.contextmanager
def door() -> Iterator[None]:
    """Turn errors into one message and an exit code."""
    try:
        yield
    except ReconError as error:
        typer.echo(f"recon-train: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        typer.echo(f"recon-train: {error}; is there room and a right to write?", err=True)
        raise typer.Exit(OutputError.exit_code) from error
    except KeyboardInterrupt as error:
        typer.echo("recon-train: interrupted; 'fit' on the same folder goes on", err=True)
        raise typer.Exit(130) from error


def read_pixels(path: Path, expected: str, fits: Callable[[NDArray[Any]], bool]) -> NDArray[Any]:
    """Pixels of a TIFF file, if they are what is expected."""
    try:
        pixels = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise StackError(f"cannot read {path} ({error}); expected a TIFF {expected}") from error
    if not fits(pixels):
        raise StackError(
            f"{path} has shape {pixels.shape} and dtype {pixels.dtype}; expected a {expected}"
        )
    return pixels
