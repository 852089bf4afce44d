"""Clients at the same time, each with one request after the other, until time is up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as grpcaio
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from smlm_bench.method import ZOOM
from smlm_pipeline import contract
from smlm_pipeline.compute.network import byte_pairs
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.triton.transport import new_number
from smlm_pipeline.film.survey import prepared
from smlm_training.simulation.presets import preset_film

_SIMULATED_FRAMES = 32
"""Frames for levels."""


@dataclass(frozen=True)
class Message:
    """One request: its tensors but REQUEST, and the frames that its answer must state."""

    size_px: int
    frames: int
    tensors: tuple[Any, ...]


def messages(model: str, sizes_px: Sequence[int], frames: int) -> list[Message]:
    """Make a request of an ensemble with simulated microtubules for each size of frames."""
    inputs = contract.ENSEMBLES[model].spec.inputs
    return [_message(inputs, size_px, frames) for size_px in sizes_px]


def _message(inputs: Sequence[contract.TensorSpec], size_px: int, frames: int) -> Message:
    film = preset_film(
        "microtubules",
        seed=5,
        frames=max(frames, _SIMULATED_FRAMES),
        height_px=size_px,
        width_px=size_px,
    ).frames_adu
    arrays: dict[contract.TensorSpec, NDArray[Any]] = {
        contract.FRAMES: byte_pairs(film[:frames]),
        contract.LEVELS: prepared(film)[1][:frames],
        contract.WINDOW: Window(ZOOM, 0, 0, size_px, size_px).as_tensor(),
        contract.CLASS_BORDERS: np.zeros(contract.CLASS_BORDERS.dims, np.float32),
    }
    sent = tuple(_tensor(spec, arrays[spec]) for spec in inputs if spec != contract.REQUEST)
    return Message(size_px, frames, sent)


def _tensor(spec: contract.TensorSpec, values: NDArray[Any]) -> grpcclient.InferInput:
    tensor = grpcclient.InferInput(spec.name, list(values.shape), spec.dtype)
    tensor.set_data_from_numpy(np.ascontiguousarray(values))
    return tensor


REQUEST_TIMEOUT_S = 60.0
"""Longest wait for one answer; then it counts as an error."""


_PROGRESS_EVERY_S = 5.0


@dataclass(frozen=True)
class Answer:
    """Outcome of one request: server, size, seconds, and the error, if any."""

    address: str
    size_px: int
    frames: int
    seconds: float
    error: str | None


@dataclass(frozen=True)
class Load:
    """Number of clients, seconds, ensemble, and the seed of the sizes that clients choose."""

    clients: int
    seconds: float
    model: str
    seed: int


def put_under_load(
    addresses: Sequence[str],
    messages: Sequence[Message],
    load: Load,
    tell: Callable[[int, float], None],
) -> tuple[list[Answer], float]:
    """Send requests for some seconds, each client to one server.

    Clients take the servers in turn and choose among the messages at random. No request begins
    after ``load.seconds``; answers to earlier ones are awaited.

    Parameters
    ----------
    addresses : sequence of str
        ``HOST:PORT`` of the servers.
    messages : sequence of Message
        Requests to choose from.
    load : Load
        Clients, seconds, ensemble and seed.
    tell : callable
        Receives the number of answers and the seconds left, now and then.

    Returns
    -------
    answers : list of Answer
        One for each request.
    seconds : float
        From the first request to the last answer.
    """
    return asyncio.run(_all_clients(addresses, messages, load, tell))


async def _all_clients(
    addresses: Sequence[str],
    messages: Sequence[Message],
    load: Load,
    tell: Callable[[int, float], None],
) -> tuple[list[Answer], float]:
    answers: list[Answer] = []
    started = time.perf_counter()
    until = started + load.seconds
    clients = [
        _client(
            addresses[number % len(addresses)],
            messages,
            load.model,
            random.Random(f"{load.seed} {number}"),  # noqa: S311 - spreads load, keeps no secret
            until,
            answers,
        )
        for number in range(load.clients)
    ]
    reports = asyncio.create_task(_report_progress(answers, until, tell))
    try:
        await asyncio.gather(*clients)
    finally:
        reports.cancel()
    return answers, time.perf_counter() - started


async def _report_progress(
    answers: list[Answer], until: float, tell: Callable[[int, float], None]
) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_EVERY_S)
        tell(len(answers), max(until - time.perf_counter(), 0.0))


async def _client(
    address: str,
    messages: Sequence[Message],
    model: str,
    chance: random.Random,
    until: float,
    answers: list[Answer],
) -> None:
    async with grpcaio.InferenceServerClient(address) as client:
        while time.perf_counter() < until:
            message = chance.choice(messages)
            began = time.perf_counter()
            error = await _send(client, model, message)
            seconds = time.perf_counter() - began
            answers.append(Answer(address, message.size_px, message.frames, seconds, error))
            if error is not None:
                await asyncio.sleep(0.1)  # spares a server that refuses at once


async def _send(client: grpcaio.InferenceServerClient, model: str, message: Message) -> str | None:
    """Send a request; return why it failed, or None."""
    number = new_number()
    tensors = [*message.tensors, _tensor(contract.REQUEST, number)]
    try:
        answer = await client.infer(model, tensors, client_timeout=REQUEST_TIMEOUT_S)
    except InferenceServerException as error:
        return str(error.status() or "no status")
    counted = answer.as_numpy(contract.FRAME_COUNT.name)
    if counted is None or int(counted[0]) != message.frames:
        return "an answer of another number of frames"
    if not np.array_equal(answer.as_numpy(contract.SUMMED_REQUEST.name), number):
        return f"the {contract.SWAPPED}"
    return None
