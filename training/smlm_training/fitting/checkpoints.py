"""The state of a run in one file, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.schedules import Plateau

STATE_FILE = "state.npz"


@dataclass(frozen=True)
class State:
    """The state that a run continues from.

    ``values`` are the variables of network and optimiser in their own order;
    ``plateau`` belongs to the schedule of that name; ``best`` holds the network's
    variables at its least validation loss.
    """

    step: int
    values: list[NDArray[Any]]
    plateau: Plateau | None = None
    best: list[NDArray[Any]] | None = None


def save_state(folder: Path, state: State) -> None:
    """Replace the checkpoint; an interrupted write leaves the last one whole."""
    arrays: dict[str, Any] = {f"v{index}": value for index, value in enumerate(state.values)}
    arrays["step"] = state.step
    if state.plateau is not None:
        arrays["plateau"] = np.array(astuple(state.plateau), np.float64)
    arrays |= {f"best{index}": value for index, value in enumerate(state.best or [])}
    beside = folder / "state.partial.npz"
    np.savez(beside, **arrays)
    beside.replace(folder / STATE_FILE)


def load_state(folder: Path) -> State | None:
    """The last checkpoint, or None where a run has none yet.

    Raises
    ------
    SettingError
        If the file is no checkpoint.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        with np.load(path) as arrays:
            plateau = None
            if "plateau" in arrays.files:
                rate, best_loss, waited_epochs = arrays["plateau"].tolist()
                plateau = Plateau(rate, best_loss, int(waited_epochs))
            values, best = (_numbered(arrays, prefix) for prefix in ("v", "best"))
            return State(int(arrays["step"]), values, plateau, best or None)
    except (OSError, ValueError, KeyError) as error:
        raise SettingError(
            f"{path} is no checkpoint ({error}); expected one of 'recon-train fit': remove it to "
            "start over"
        ) from error


def _numbered(arrays: Mapping[str, NDArray[Any]], prefix: str) -> list[NDArray[Any]]:
    """The arrays called so, in the order of their numbers."""
    count = sum(name.startswith(prefix) for name in arrays)
    return [arrays[f"{prefix}{index}"] for index in range(count)]
