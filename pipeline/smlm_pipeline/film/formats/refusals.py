"""Refuse a film in one line: what is wrong, what was expected, what to do."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smlm_pipeline.damage import DAMAGE
from smlm_pipeline.errors import FilmError, ReconError

AGAIN = "copy or export it again"
CODEC = "install imagecodecs (pip install 'smlm-recon[codecs]') or save it uncompressed"

_MEMORY = "close other programs, or take a part of it with --roi, or save it in smaller chunks"

_LOGGERS = ("tifffile", "liffile")
"""Loggers of libraries whose remarks on damaged files would reach the terminal."""


class _Warnings:
    """Python's warnings, hidden while any thread reads a film: they are not meant for users."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0
        self._before = warnings.catch_warnings()

    def hide(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")

    def show(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._before.__exit__(None, None, None)


_WARNINGS = _Warnings()


def refusal(path: Path, problem: str, remedy: str) -> FilmError:
    """The error for a film that cannot be used."""
    return FilmError(f"{path} {problem}; expected a film of grey frames: {remedy}")


def damage() -> tuple[type[Exception], ...]:
    """`DAMAGE`, and the error of tifffile, which is no ValueError in older versions.

    It is not imported here, since the server needs this module and not tifffile.
    """
    tifffile = sys.modules.get("tifffile")
    return (*DAMAGE, tifffile.TiffFileError) if tifffile else DAMAGE


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Keep remarks of the formats' libraries from the terminal: they are not in users' words."""
    silence = logging.Filter("smlm_pipeline")  # one for each use, so that none removes another's
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(silence)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(silence)


@contextmanager
def reading(path: Path, where: str = "") -> Iterator[None]:
    """Turn errors of the system, of a format's library and of its codecs into `FilmError`.

    Raises
    ------
    FilmError
        In place of any of these errors.
    """
    _WARNINGS.hide()
    try:
        with libraries_silenced():
            yield
    except ReconError:
        raise
    except (NotImplementedError, ImportError) as error:
        raise refusal(path, "is stored in a form that cannot be decoded here", CODEC) from error
    except MemoryError as error:
        reason = f"takes more memory{where} than this machine has free"
        raise refusal(path, reason, _MEMORY) from error
    except OSError as error:
        if error.errno is None and not error.strerror:  # of a library, as h5py's
            raise refusal(path, f"is cut short or damaged{where}", AGAIN) from error
        reason = f"cannot be read ({error.strerror or error})"
        raise refusal(path, reason, "check its permissions and the disk or share") from error
    except damage() as error:
        raise refusal(path, f"is cut short or damaged{where}", AGAIN) from error
    finally:
        _WARNINGS.show()


@contextmanager
def extra(path: Path, name: str) -> Iterator[None]:
    """Name the extra of this package that installs a missing library of a format.

    Raises
    ------
    FilmError
        If the import in the ``with`` block fails.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = f"needs the package {error.name}, which is not installed"
        raise refusal(path, missing, f"pip install 'smlm-recon[{name}]'") from error
