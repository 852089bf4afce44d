"""Shapes whose product wraps in 64 bits onto the bytes sent, and what a server makes of them.

In Triton 2.51 such a request of some 200 bytes ends the process of a Python model before its code
sees the request, while the server still reports that it is ready. Nothing of this project can
refuse it, so a dead process is stated in the report and is no failure of the check.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from smlm_bench.gpu.server import Server
from smlm_pipeline import contract
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import ReconError

SURVIVED, STUB_DEAD = "survived", "stub dead"

TIMEOUT_S = 60.0
"""Longest wait for an answer to such a shape."""


@dataclass(frozen=True)
class WrappingShape:
    """What became of a server: ``outcome`` is SURVIVED or STUB_DEAD, by the canary.

    ``tensor`` is the input with its shape, ``said`` what the server answered.
    """

    model: str
    tensor: str
    outcome: str
    said: str


def answers_to_wrapping_shapes(server: Server, ensemble: str) -> list[WrappingShape]:
    """Send shapes without bytes to an ensemble and its summation, until one ends a process.

    Parameters
    ----------
    server : Server
        Who is asked; it may have to be restarted afterwards.
    ensemble : str
        One of ``contract.ENSEMBLES``.
    """
    answer = contract.ENSEMBLES[ensemble].answer
    edge = 4 * answer.zoom
    spec = contract.ENSEMBLES[ensemble].spec
    results: list[WrappingShape] = []
    for model, shape in (
        (spec, (2**62, 0, 64, 2)),
        (answer.summation, (2**60, answer.channels, edge, edge)),
    ):
        said = _said(server, model, shape)
        outcome = _outcome(server, ensemble)
        results.append(WrappingShape(model.name, f"{model.inputs[0].name} {shape}", outcome, said))
        if outcome == STUB_DEAD:
            break
    return results


def _said(server: Server, model: contract.ModelSpec, shape: tuple[int, ...]) -> str:
    """The first line of the server's answer to a first input of this shape, without bytes."""
    first, *others = model.inputs
    inputs = [InferInput(first.name, [0] * len(shape), first.dtype)]
    inputs[0].set_data_from_numpy(np.zeros([0] * len(shape), triton_to_np_dtype(first.dtype)))
    inputs[0].set_shape(shape)
    for each in others:
        values = np.ones([max(size, 1) for size in each.dims], triton_to_np_dtype(each.dtype))
        inputs.append(InferInput(each.name, list(values.shape), each.dtype))
        inputs[-1].set_data_from_numpy(values)
    with InferenceServerClient(server.address) as client:
        try:
            client.infer(model.name, inputs, client_timeout=TIMEOUT_S)
        except InferenceServerException as refused:
            return f"{refused.status()}: {str(refused.message()).splitlines()[0]}"
    return "an answer"


def _outcome(server: Server, ensemble: str) -> str:
    try:
        opening.server_canary(Servers.parse(server.address), ensemble)
    except ReconError:
        return STUB_DEAD
    return SURVIVED
