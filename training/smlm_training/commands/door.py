"""What all commands share: errors become one message and an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer

from smlm_pipeline.errors import OutputError, ReconError


@contextlib.contextmanager
def door(if_interrupted: str = "nothing is half-written") -> Iterator[None]:
    """Turn errors into one message and an exit code; say how things stand after Ctrl-C."""
    try:
        yield
    except ReconError as error:
        typer.echo(f"recon-train: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        typer.echo(f"recon-train: {error}; is there room and a right to write?", err=True)
        raise typer.Exit(OutputError.exit_code) from error
    except KeyboardInterrupt as error:
        typer.echo(f"recon-train: interrupted; {if_interrupted}", err=True)
        raise typer.Exit(130) from error
