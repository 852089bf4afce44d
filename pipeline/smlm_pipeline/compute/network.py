"""What every network on a CPU is: its answer, its engine, and the computation of detections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ChunkError, ContractError


@dataclass(frozen=True)
class NetworkEngine:
    """What computes a network: the engine's name and version, its precision, the processor.

    ``note`` tells the user why it is not the engine or the precision that was wanted; it is
    empty otherwise. All fields are empty where a server does not state them.
    """

    name: str = ""
    version: str = ""
    precision: str = ""
    processor: str = ""
    note: str = ""

    def __str__(self) -> str:
        """Name, version and precision, for people."""
        return f"{self.name} {self.version}, {self.precision}" if self.name else "not stated"

    def write(self, file: Path) -> None:
        """Write all fields as JSON."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> NetworkEngine:
        """Read what `write` wrote; empty if there is no such file."""
        if not file.exists():
            return cls()
        return cls(**json.loads(file.read_text(encoding="utf-8")))


class Network(Protocol):
    """A trained network in this process."""

    answer: contract.Answer
    engine: NetworkEngine

    def detect(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Run the network on each frame.

        The answer to a frame does not depend on the frames it is run with, nor on the threads.
        Several threads may call this at once.

        Parameters
        ----------
        frames_adu : ndarray, shape (N, H, W), uint16
            Frames whose edges are multiples of ``SIZE_MULTIPLE_PX``.
        levels_adu : ndarray, shape (N, 2), float32
            Background and scale of each frame.

        Returns
        -------
        ndarray, shape (N, 7, H, W) or (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
            Channels of ``contract.DETECTION_CHANNELS``, or emitters per SR pixel.

        Raises
        ------
        ChunkError
            If an edge is no such multiple, a level is not finite, or a scale is not positive.
        """
        ...


def check_tile(frames_adu: NDArray[np.uint16]) -> None:
    """Refuse frames (N, H, W) whose edges are not multiples of ``SIZE_MULTIPLE_PX``.

    Raises
    ------
    ChunkError
        If they are not, or there is none.
    """
    multiple = contract.SIZE_MULTIPLE_PX
    count, height, width = frames_adu.shape
    if height % multiple or width % multiple or not (count and height and width):
        raise ChunkError(
            f"{count} frames are {height} x {width} pixels; expected some, with edges in multiples "
            f"of {multiple}: pad them"
        )


def byte_pairs(frames_adu: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The contract's FRAMES, (N, H, W, 2) uint8, of frames (N, H, W): a view where possible."""
    low_first = np.ascontiguousarray(frames_adu, "<u2")
    return low_first.view(np.uint8).reshape(*low_first.shape, 2)


def frames_of(pairs: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The frames (N, H, W) of the contract's FRAMES (N, H, W, 2): a view where possible."""
    frames_adu = np.ascontiguousarray(pairs).view("<u2")[..., 0]
    return frames_adu.astype(np.uint16, copy=False)


def answer_of(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> contract.Answer:
    """Find the kind of a network's answer by its tensors.

    Parameters
    ----------
    tensors : sequence of (str, tuple of int)
        Name and axes of each input, then of each output; -1 for an axis of any length.

    Raises
    ------
    ContractError
        If they are not those of the contract.
    """
    for answer in contract.ANSWERS:
        if list(tensors) == _named(*_INPUTS, answer.tensor, contract.COMPUTED_REQUEST):
            return answer
    answers = " or ".join(_listed(_named(answer.tensor)) for answer in contract.ANSWERS)
    raise ContractError(
        f"the network's tensors are {_listed(tensors)}; expected {_listed(_named(*_INPUTS))}, then "
        f"{answers}, then {_listed(_named(contract.COMPUTED_REQUEST))}: train it with this release "
        "and export it"
    )


_INPUTS = (contract.FRAMES, contract.LEVELS, contract.REQUEST)


def _named(*specs: contract.TensorSpec) -> list[tuple[str, tuple[int, ...]]]:
    return [(spec.name, spec.dims) for spec in specs]


def _listed(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {list(axes)}" for name, axes in tensors)
