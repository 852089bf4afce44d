"""Put a plan and its record beside a network, where Triton loads them, or withdraw them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from smlm_pipeline.deploy.plans.cache import Entry, replace_file
from smlm_pipeline.errors import OutputError
from smlm_pipeline.model_repository import PLAN_FILE, PLAN_RECORD


def withdraw(version: Path, *, right: Entry | None) -> None:
    """Remove a plan that is not the right one, and its record.

    Parameters
    ----------
    version : Path
        Folder of a network's version.
    right : Entry, optional
        The plan that may stay; without one, none may.

    Raises
    ------
    OutputError
        If it cannot be removed.
    """
    placed = version / PLAN_FILE
    try:
        if placed.exists() and (right is None or placed.read_bytes() != right.plan):
            placed.unlink()
            (version / PLAN_RECORD).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(placed, error) from error


def put(version: Path, entry: Entry) -> None:
    """Put a plan and its record in place; a plan that is there already has to be the same.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    placed = version / PLAN_FILE
    try:
        if not placed.exists():
            replace_file(placed, entry.plan)
        replace_file(version / PLAN_RECORD, entry.record.as_json())
    except OSError as error:
        raise _unwritable(placed, error) from error


@contextlib.contextmanager
def nothing_left_by_failure(model_repository: Path, models: Sequence[str]) -> Iterator[None]:
    """Withdraw every plan of these models if the block fails."""
    try:
        yield
    except BaseException:
        for model in models:
            for placed in model_repository.glob(f"{model}/*/{PLAN_FILE}"):
                withdraw(placed.parent, right=None)
        raise


def _unwritable(file: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{file} cannot be written ({error.strerror}); expected a model repository of this user: "
        "copy it, and name the copy with --model-repository"
    )
