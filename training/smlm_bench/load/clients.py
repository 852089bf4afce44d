"""Clients that each send one request after the other, all at once, until time is up."""

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
from smlm_pipeline.film.survey import levels_of, mean_of
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
        contract.LEVELS: np.repeat(levels_of(film)[None], frames, axis=0),
        contract.FILM_MEAN: mean_of(film),
        contract.WINDOW: np.array([ZOOM, 0, 0, size_px, size_px], np.int32),
    }
    return Message(size_px, frames, tuple(_tensor(*each) for each in arrays.items()))


def _tensor(spec: contract.TensorSpec, values: NDArray[Any]) -> grpcclient.InferInput:
    tensor = grpcclient.InferInput(spec.name, list(values.shape), spec.dtype)
    tensor.set_data_from_numpy(np.ascontiguousarray(values))
    return tensor


REQUEST_TIMEOUT_S = 60.0
"""Longest wait for one answer; then it counts as an error."""


_TOLD_EVERY_S = 5.0


@dataclass(frozen=True)
class Answer:
    """One request's fate: which server and size, seconds, and the error if there was one."""

    address: str
    size_px: int
    frames: int
    seconds: float
    error: str | None


@dataclass(frozen=True)
class Load:
    """How many ``clients`` send for ``seconds``; ``seed`` decides which sizes they choose."""

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
    """Answers to all requests, and the seconds from the first to the last of them.

    Each client keeps to one server, in turn, and chooses among the messages at random.
    No request begins after ``load.seconds``; those under way are waited for.

    Parameters
    ----------
    addresses : sequence of str
        Of the servers.
    messages : sequence of Message
        What is sent.
    load : Load
        How much.
    tell : callable
        Given the number of answers and the seconds left, now and then.
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
    telling = asyncio.create_task(_tell_now_and_then(answers, until, tell))
    try:
        await asyncio.gather(*clients)
    finally:
        telling.cancel()
    return answers, time.perf_counter() - started


async def _tell_now_and_then(
    answers: list[Answer], until: float, tell: Callable[[int, float], None]
) -> None:
    while True:
        await asyncio.sleep(_TOLD_EVERY_S)
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
            error = await _asked(client, model, message)
            seconds = time.perf_counter() - began
            answers.append(Answer(address, message.size_px, message.frames, seconds, error))
            if error is not None:
                await asyncio.sleep(0.1)  # a server that refuses at once is not to be hammered


async def _asked(client: grpcaio.InferenceServerClient, model: str, message: Message) -> str | None:
    """Why a request failed, or None."""
    try:
        answer = await client.infer(model, list(message.tensors), client_timeout=REQUEST_TIMEOUT_S)
    except InferenceServerException as error:
        return str(error.status() or "no status")
    counted = answer.as_numpy(contract.FRAME_COUNT.name)
    if counted is None or int(counted[0]) != message.frames:
        return "an answer of another number of frames"
    return None
