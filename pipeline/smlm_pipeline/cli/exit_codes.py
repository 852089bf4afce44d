"""What all commands of client and server share: errors become one message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Iterator
from types import FrameType

import typer
from rich.console import Console

from smlm_pipeline.errors import OutputError, ReconError

EXIT_CODES = """
Exit codes: 0 done; 1 unexpected failure; 2 wrong option; 3 the stack cannot be used;
4 no server, or it cannot be started; 5 the server serves another model or contract;
6 the server refused or lost a chunk; 7 the result cannot be written; 8 no TensorRT plan that
fits this GPU; 9 what an interrupted run kept is damaged or of another film, model or option;
130 interrupted (143 by SIGTERM). No file is ever half-written; where a run fails or is
interrupted, its sum so far is kept beside the image for --resume.
"""

MESSAGES = Console(stderr=True, highlight=False)
"""Where commands say what is wrong."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def door(program: str = "recon-client") -> Iterator[None]:
    """Turn every error into a message of the program and an exit code; leave cleanly on signals."""
    ending = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handled = [each for each in ending if signal.getsignal(each) is not signal.SIG_IGN]
    previous = [signal.signal(each, _terminate) for each in handled]
    try:
        yield
    except (typer.Exit, BrokenPipeError):  # by a command; by whoever read our output
        raise
    except ReconError as error:
        _say(f"{program}: {error}")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _say(f"{program}: interrupted; nothing is half-written")
        raise typer.Exit(130) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            what = error.filename or "what it prints"
            _say(f"{program}: {what} cannot be written: the disk is full; free space")
            raise typer.Exit(OutputError.exit_code) from error
        _say(f"{program}: unexpected {type(error).__name__}: {error}; please report this")
        raise typer.Exit(1) from error
    finally:
        for each, handler in zip(handled, previous, strict=True):
            signal.signal(each, handler)


def _say(message: str) -> None:
    """Print one line; the exit code has to tell alone where that cannot be written either."""
    with contextlib.suppress(OSError):
        MESSAGES.print(message, markup=False, soft_wrap=True)


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Leave in a way that no library takes for an error of its own: Keras does ``typer.Exit``."""
    raise SystemExit(128 + number)
