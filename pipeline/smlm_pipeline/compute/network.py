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
from smlm_pipeline.errors import ContractError


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

    def detect(self, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on each frame.

        The answer to a frame does not depend on the frames it is run with, nor on the threads.
        Several threads may call this at once.

        Parameters
        ----------
        normalized : ndarray, shape (N, 1, H, W), float32
            Frames as `smlm_pipeline.compute.normalize.normalize` makes them.

        Returns
        -------
        ndarray, shape (N, 5, H, W) or (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
            Channels of ``contract.DETECTION_CHANNELS``, or emitters per SR pixel.
        """
        ...


def answer_of(tensors: Sequence[tuple[str, object]]) -> contract.Answer:
    """Find the kind of a network's answer by its tensors.

    Parameters
    ----------
    tensors : sequence of (str, int)
        Name and channels of each input, then of each output.

    Raises
    ------
    ContractError
        If they are not those of the contract.
    """
    for answer in contract.ANSWERS:
        if list(tensors) == [
            (spec.name, spec.dims[0]) for spec in (contract.NORMALIZED, answer.tensor)
        ]:
            return answer
    listed = ", ".join(f"{name} of {channels} channels" for name, channels in tensors)
    raise ContractError(
        f"the network's tensors are {listed}; expected {contract.NORMALIZED.name} of "
        f"{contract.NORMALIZED.dims[0]}, then {contract.DETECTIONS.name} of "
        f"{contract.DETECTIONS.dims[0]} or {contract.MAP.name} of {contract.MAP.dims[0]}: "
        "train it with this release and export it"
    )
