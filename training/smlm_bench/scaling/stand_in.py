"""Stand-ins for what a cluster has: a network that takes a fixed time, and a name of servers.

The network computes nothing and waits, as for a GPU: one model of Triton. Several real servers then
fit on one machine, whose processors are left to the client and to all that is not the network:
gRPC, Triton, the summation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.triton.addresses import Address, Servers

_NAME = Address("servers.invalid", 8001)

MOLECULES_APART_PX = 8
"""Distance of the molecules of each answer, along both edges."""

_MODEL = '''\
"""Answers with the same molecules in every frame, after a fixed time; one request at once."""

import time

import numpy as np
import triton_python_backend_utils as pb_utils

WAIT_S = {wait_s!r}
APART_PX = {apart_px}


class TritonPythonModel:
    def initialize(self, args):
        self._answers = {{}}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        end_s = time.monotonic() + WAIT_S
        frames = pb_utils.get_input_tensor_by_name(request, {frames!r}).as_numpy()
        count, height, width, _ = frames.shape
        shape = (count, {channels}, height, width)
        if shape not in self._answers:
            answer = np.zeros(shape, np.float32)
            answer[:, 0, ::APART_PX, ::APART_PX] = 1
            answer[:, 3:5] = 0.1
            answer[:, 5:] = 1
            self._answers[shape] = answer
        number = pb_utils.get_input_tensor_by_name(request, {request!r}).as_numpy().copy()
        tensors = [
            pb_utils.Tensor({detections!r}, self._answers[shape]),
            pb_utils.Tensor({computed!r}, number),
        ]
        time.sleep(max(end_s - time.monotonic(), 0))
        return pb_utils.InferenceResponse(tensors)
'''


def repository_that_waits(folder: Path, wait_s: float) -> Path:
    """Copy the default ensemble, with a network that waits in place of its own.

    Parameters
    ----------
    folder : Path
        Where the repository is made.
    wait_s : float
        Time that each request takes.
    """
    repository = copy_of_ensemble(contract.RECONSTRUCTION.name, folder)
    model = repository / contract.UNET.name / "1" / "model.py"
    model.write_text(
        _MODEL.format(
            wait_s=wait_s,
            apart_px=MOLECULES_APART_PX,
            frames=contract.FRAMES.name,
            request=contract.REQUEST.name,
            detections=contract.DETECTIONS.name,
            computed=contract.COMPUTED_REQUEST.name,
            channels=contract.DETECTION_ANSWER.channels,
        ),
        encoding="utf-8",
    )
    return repository


@dataclass(frozen=True)
class NamedServers(Servers):
    """Servers that are followed as those of a name are; ``present`` are its addresses now.

    gRPC gets the addresses themselves, as if it had looked the name up.
    """

    addresses: tuple[Address, ...] = (_NAME,)
    present: list[Address] = field(default_factory=list)

    def numeric(self) -> list[Address]:
        """The addresses of the name now."""
        return list(self.present)

    def endpoints(self) -> tuple[Address, ...]:
        """The address of each server now."""
        return tuple(self.present)

    def only(self, *addresses: Address) -> Servers:
        """Some of them, by their addresses."""
        return Servers(addresses)

    def connection(self) -> tuple[str, int]:
        """The target of a gRPC channel to all servers, and their number."""
        return Servers(tuple(self.present)).connection()
