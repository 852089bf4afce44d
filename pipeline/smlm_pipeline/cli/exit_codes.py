"""The door of every command: errors become one line on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Iterator
from types import FrameType

import typer
from rich.console import Console

from smlm_pipeline.cli.json_output import print_failure
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.errors import FilmError, OutputError, ReconError, SettingError
from smlm_pipeline.film.formats.refusals import libraries_silenced

EXIT_CODES = (
    "Exit codes: 0 done; 1 unexpected failure; 2 wrong option; 3 the film cannot be used; "
    "4 no server, or it cannot be started; 5 the server serves another model or contract; "
    "6 the server refused or lost a chunk; 7 the result cannot be written; 8 no TensorRT plan "
    "that fits this GPU; 9 a checkpoint or part is damaged, or of another film, model or option; "
    "10 the server died again and again; 130 interrupted (143 by SIGTERM). No file is ever "
    "half-written."
)
"""Epilog of a program's help; the commands' own help leaves it out."""

MESSAGES = Console(stderr=True, highlight=False)
"""Standard error, for messages to the user."""

_NO_MEMORY = (
    "the memory of this machine does not suffice; expected a film, or a part of it, that fits: "
    "close other programs, or take a smaller part of the film"
)

_INTERRUPTED, _NOTHING_HALF = "Interrupted", "nothing is half-written"

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def report_line(line: str, program: str = "recon-client") -> None:
    """Print what happens meanwhile, from any thread; where that fails, the work continues."""
    with contextlib.suppress(OSError):
        MESSAGES.print(f"{program}: {line}", markup=False, soft_wrap=True)


@contextlib.contextmanager
def door(
    program: str = "recon-client",
    *,
    if_interrupted: str | None = None,
    extra: str | None = None,
    os_error_is_output: bool = False,
    as_json: bool = False,
) -> Iterator[None]:
    """Turn every error into one line and an exit code, and end cleanly at signals.

    Remarks of libraries on files do not reach the terminal: an error or a note says what matters.

    Parameters
    ----------
    program : str
        Name of the command, with which the line begins.
    if_interrupted : str, optional
        What remains after Ctrl-C, and then also after SIGTERM and SIGHUP; by default Ctrl-C
        alone is answered: nothing is half-written.
    extra : str, optional
        Extra of ``smlm-recon`` that brings the program's packages: a missing one is named with
        it, as a wrong installation (code 2).
    os_error_is_output : bool
        Whether an ``OSError`` that no code foresaw means that output cannot be written (code 7)
        rather than a fault of the program (code 1).
    as_json : bool
        Whether a failure is also printed as JSON, on standard output.

    Raises
    ------
    typer.Exit
        With the code of the error.
    SystemExit
        With 128 and the number of a signal other than Ctrl-C's.
    """

    def fail(kind: str, message: str, code: int) -> None:
        _say(f"{program}: {message}")
        if as_json:
            with contextlib.suppress(OSError):
                print_failure(program, kind, message, code)

    with _signals_end_the_program(), libraries_silenced():
        try:
            yield
        except (typer.Exit, BrokenPipeError):  # from a command; from the reader of our output
            raise
        except SystemExit as ending:  # from a signal
            if if_interrupted or as_json:
                code = ending.code if isinstance(ending.code, int) else 1
                fail(_INTERRUPTED, f"ended; {if_interrupted or _NOTHING_HALF}", code)
            raise
        except KeyboardInterrupt as error:
            fail(_INTERRUPTED, f"interrupted; {if_interrupted or _NOTHING_HALF}", 130)
            raise typer.Exit(130) from error
        except Exception as error:
            message, code = explained(error, extra=extra, os_error_is_output=os_error_is_output)
            fail(type(error).__name__, message, code)
            raise typer.Exit(code) from error


def explained(
    error: Exception, *, extra: str | None = None, os_error_is_output: bool = False
) -> tuple[str, int]:
    """One line about an error, and its exit code; see `door`."""
    if isinstance(error, ReconError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and extra:
        remedy = f"pip install 'smlm-recon[{extra}]'"
        return f"{error.name} is not installed; {remedy}", SettingError.exit_code
    if isinstance(error, MemoryError):
        return f"{_NO_MEMORY} ({error or 'no more is free'})", FilmError.exit_code
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        output = error.filename or "what it prints"
        return f"{output} cannot be written: the disk is full; free space", OutputError.exit_code
    if isinstance(error, OSError) and os_error_is_output:
        return f"{error}; is there room and a right to write?", OutputError.exit_code
    return f"unexpected {type(error).__name__}: {error}; please report this", 1


@contextlib.contextmanager
def _signals_end_the_program() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise ``SystemExit``, unless the program is to ignore them."""
    ending = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handled = [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, _terminate) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, previous, strict=True):
            signal.signal(number, handler)


def _terminate(number: int, _frame: FrameType | None) -> None:
    """End in a way that no library takes for an error of its own: Keras does ``typer.Exit``."""
    raise SystemExit(128 + number)


def _say(message: str) -> None:
    """Print one line; where that fails too, the exit code alone tells the outcome."""
    with contextlib.suppress(OSError):
        MESSAGES.print(printable(message, one_line=False), markup=False, soft_wrap=True)
