"""The frame with one molecule that tells a server that works from one that is only ready."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from fakes.command_line import invoke
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.sparse import SparseSums, sparse
from smlm_pipeline.compute.window import check_map_window, check_window
from smlm_pipeline.engines import canary
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError


class Answering:
    """A transport whose answer to the canary is made from the right one."""

    def __init__(self, change: Callable[[ChunkAnswer], ChunkAnswer]) -> None:
        self._change = change

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        window = request.window
        image = np.zeros(window.shape, np.int32)
        image[0, window.zoom * 33, window.zoom * 33] = contract.WEIGHT_ONE
        return self._change(ChunkAnswer(sparse(image), len(request.frames_adu)))


def _scaled(answer: ChunkAnswer, factor: float) -> ChunkAnswer:
    weight = (answer.sums.weight * factor).astype(np.int64)
    return dataclasses.replace(answer, sums=SparseSums(answer.sums.index, weight))


def _moved(answer: ChunkAnswer, by_px: int) -> ChunkAnswer:
    index = answer.sums.index + by_px * contract.MAP_ZOOM
    return dataclasses.replace(answer, sums=SparseSums(index, answer.sums.weight))


def _and_in_a_corner(answer: ChunkAnswer, emitters: int) -> ChunkAnswer:
    index = np.array([9 * 528 + 9, *answer.sums.index])
    weight = np.array([emitters * contract.WEIGHT_ONE, *answer.sums.weight])
    return dataclasses.replace(answer, sums=SparseSums(index, weight))


def _beyond_the_image(answer: ChunkAnswer) -> ChunkAnswer:
    sums = SparseSums(np.array([528 * 528]), np.array([1]))
    return dataclasses.replace(answer, sums=sums)


def test_the_networks_find_the_molecule(
    local_transport: LocalTransport, map_transport: LocalTransport
) -> None:
    for transport in (local_transport, map_transport):
        found = canary.ask(transport)
        assert found.emitters == pytest.approx(1, abs=0.5)
        assert found.elapsed_ms > 0


def test_the_frame_is_within_the_contract() -> None:
    request = canary._request()
    normalized = normalize(request.frames_adu, request.levels_adu)
    assert normalized.shape == (1, 1, 64, 64)
    assert normalized[0, 0].max() == pytest.approx(canary.PEAK_ADU / canary.SCALE_ADU, rel=0.1)
    noise = normalized[0, 0, :16, :16]
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(canary.NOISE_ADU / canary.SCALE_ADU, rel=0.1)
    assert check_window(request.window.as_tensor(), 64, 64) == request.window
    assert check_map_window(request.window.as_tensor(), 512, 512) == request.window


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda right: _scaled(right, 0), r"found 0.00 emitters where one is; .* restart it"),
        (lambda right: _scaled(right, 4.5), r"found 4.50 emitters where one is"),
        (lambda right: _moved(right, 3), r"found 0.00 emitters where one is"),
        (
            lambda right: _and_in_a_corner(right, 1),
            r"found 1.00 emitters where none is; .* restart",
        ),
        (lambda right: _and_in_a_corner(right, -1), r"found 1.00 emitters where none is"),
        (lambda right: _scaled(right, -1), r"found -1.00 emitters"),
        (
            _beyond_the_image,
            r"answered with 278785 SR pixels or more over 1 frames; expected 278784 over 1",
        ),
        (lambda right: ChunkAnswer(right.sums, 2), r"over 2 frames; expected 278784 over 1"),
    ],
)
def test_any_other_answer_is_an_error(
    change: Callable[[ChunkAnswer], ChunkAnswer], words: str
) -> None:
    with pytest.raises(InferenceError, match=words):
        canary.ask(Answering(change))


def test_the_command_tells_what_was_found() -> None:
    with FakeTriton(Answering(lambda right: right)) as server:
        told = invoke("status", "--server", server.address)
        as_json = invoke("status", "--server", server.address, "--json")
        without = invoke("status", "--server", server.address, "--json", "--no-canary")
    assert told.exit_code == as_json.exit_code == 0
    assert "canary: 1.00 of 1 emitter" in told.stdout
    assert json.loads(as_json.stdout)["canary"]["emitters"] == 1
    assert "canary" not in json.loads(without.stdout)


def test_a_server_that_is_only_ready_fails() -> None:
    with FakeTriton(Answering(lambda right: _scaled(right, 0))) as server:
        ready = invoke("status", "--server", server.address, "--no-canary")
        asked = invoke("status", "--server", server.address)
        told = invoke("status", "--server", server.address, "--json")
    assert ready.exit_code == 0
    assert asked.exit_code == told.exit_code == 6
    assert "ready" in asked.stdout
    assert json.loads(told.stdout)["fits"] is False
    assert "0.00 emitters" in json.loads(told.stdout)["canary"]["error"]
    assert "canary: the server found 0.00 emitters where one is" in asked.stderr


def test_a_server_of_another_contract_is_not_asked() -> None:
    with FakeTriton(Answering(lambda right: right), contract_version="99") as server:
        refused = invoke("status", "--server", server.address, "--canary")
    assert refused.exit_code == 5
    assert "canary" not in refused.stdout
