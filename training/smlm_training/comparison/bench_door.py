"""Errors and signals that end ``recon-bench`` become one message and an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import typer

from smlm_pipeline.door import door
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
