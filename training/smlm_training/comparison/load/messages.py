"""The requests that clients send: made once, as tensors, for each size of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_training.comparison.methods.found import ZOOM
from smlm_training.scoring.inference import film_levels, film_mean
from smlm_training.simulation.presets import preset_film

_FILMED = 32
"""Frames that are simulated for levels and mean."""


@dataclass(frozen=True)
class Message:
    """One request: its tensors, and what an answer to it has to count."""

    size_px: int
    frames: int
    tensors: tuple[Any, ...]


def messages(sizes_px: Sequence[int], frames: int) -> list[Message]:
    """A request of ``frames`` frames of simulated microtubules for each size."""
    return [_message(size_px, frames) for size_px in sizes_px]


def _message(size_px: int, frames: int) -> Message:
    film = preset_film(
        "microtubules", seed=5, frames=max(frames, _FILMED), height_px=size_px, width_px=size_px
    ).frames_adu
    arrays = {
        contract.FRAMES: film[:frames],
        contract.LEVELS: np.repeat(film_levels(film)[None], frames, axis=0),
        contract.FILM_MEAN: film_mean(film),
        contract.WINDOW: np.array([ZOOM, 0, 0, size_px, size_px], np.int32),
    }
    return Message(size_px, frames, tuple(_tensor(*each) for each in arrays.items()))


def _tensor(spec: contract.TensorSpec, values: NDArray[Any]) -> grpcclient.InferInput:
    tensor = grpcclient.InferInput(spec.name, list(values.shape), spec.dtype)
    tensor.set_data_from_numpy(np.ascontiguousarray(values))
    return tensor
