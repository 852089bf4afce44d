"""Errors of ``recon-bench`` become one message and an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer

from smlm_pipeline.errors import OutputError, ReconError, SettingError


@contextlib.contextmanager
def bench_door() -> Iterator[None]:
    """One line on standard error, and the code of the kind of error."""
    try:
        yield
    except ReconError as error:
        typer.echo(f"recon-bench: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except ModuleNotFoundError as error:
        typer.echo(
            f"recon-bench: {error.name} is not installed; pip install 'smlm-recon[bench]'", err=True
        )
        raise typer.Exit(SettingError.exit_code) from error
    except OSError as error:
        typer.echo(f"recon-bench: {error}; is there room and a right to write?", err=True)
        raise typer.Exit(OutputError.exit_code) from error
    except KeyboardInterrupt as error:
        typer.echo("recon-bench: interrupted; 'table' on the same folder goes on", err=True)
        raise typer.Exit(130) from error
