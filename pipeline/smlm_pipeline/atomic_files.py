"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from smlm_pipeline.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free space or choose another disk",
    errno.EDQUOT: "your quota is used up; free space or choose another disk",
    errno.EACCES: "no permission; choose another folder, or close the program that uses the file",
    errno.ENOENT: "there is no such folder; create it first",
    errno.EISDIR: "it is a folder or a device; give the name of a file",
}

_ENDING = ".part"
"""Ending of a file's name until it is whole."""


def check_writable(path: Path) -> None:
    """Refuse, after a trial, a target that cannot be written, before an hour of computing.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the target is not a file.
    """
    with _partial(path):
        pass


def check_new(path: Path, *, replaced: bool) -> None:
    """Refuse a target of ``-o`` that exists and is not to be replaced, or cannot be written.

    Raises
    ------
    OutputError
        If it exists, or `check_writable` refuses it.
    """
    if path.is_file() and not replaced:
        raise OutputError(
            f"{path} exists; expected a new name: choose another -o, or replace the file with "
            "--overwrite"
        )
    check_writable(path)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside the target; give it the target's name once it is whole.

    Raises
    ------
    OutputError
        If it cannot be written; no part of it is left.
    """
    with _partial(path) as (file, partial, target):
        yield file
        file.flush()
        os.fsync(file.fileno())  # a network drive reports a full disk only here
        file.close()  # Windows renames closed files only
        partial.replace(target)


def check_folder_writable(path: Path) -> None:
    """Refuse, after a trial, a target folder that cannot be written; see `check_writable`.

    Raises
    ------
    OutputError
        If the folder above is missing or not writable.
    """
    with _partial_folder(path):
        pass


@contextlib.contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Make a folder beside the target; give it the target's name once it is whole.

    An earlier folder of that name is replaced.

    Raises
    ------
    OutputError
        If it cannot be written; no part of it is left.
    """
    with _partial_folder(path) as (partial, target):
        yield partial
        if target.exists():
            earlier = partial.with_name(f"{partial.name}.old{_ENDING}")
            target.replace(earlier)
            partial.replace(target)
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            partial.replace(target)


def remove_unfinished(path: Path) -> None:
    """Remove the unfinished files and folders of this target that killed programs left."""
    target = Path(os.path.realpath(path))
    for partial in target.parent.glob(f".{glob.escape(target.name)}.????????{_ENDING}"):
        with contextlib.suppress(OSError):  # it only takes room
            remove(partial)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _partial_folder(path: Path) -> Iterator[tuple[Path, Path]]:
    """Path of a new folder and the target's; a folder that is not renamed is removed."""
    target = Path(os.path.realpath(path))
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}{_ENDING}"
    try:
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        partial.mkdir()
        yield partial, target
    except OutputError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[tuple[BinaryIO, Path, Path]]:
    """Open file, its path and the target's; a file that is not renamed is removed."""
    target = Path(os.path.realpath(path))  # a link is written through, not replaced
    # not tempfile: its files stay readable by their owner alone, also once renamed
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}{_ENDING}"
    try:
        if target.exists() and not target.is_file():  # a device would be replaced by a file
            raise IsADirectoryError(errno.EISDIR, "not a file")
        with partial.open("x+b") as file:
            yield file, partial, target
    except OutputError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # renamed, never made, or an error that is reported
            partial.unlink()


def _refusal(path: Path, error: OSError) -> OutputError:
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another target")
    return OutputError(f"{path} cannot be written: {advice}")
