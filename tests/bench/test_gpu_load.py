"""Many requests at once, as ``gpu-check`` sends them: what counts as wrong, and as refused."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_bench.gpu import check, load
from smlm_bench.gpu.load import LoadResult
from smlm_bench.gpu.server import Server
from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.deploy import memory_pools
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, SwappedAnswerError, TransientServerError

MODEL = contract.RECONSTRUCTION.name


class _Loaded:
    """A server whose answers are those of the frames that it is asked for, but for some."""

    def __init__(self, *_: object, **__: object) -> None:
        self.asked = 0

    def __enter__(self) -> _Loaded:
        return self

    def __exit__(self, *_: object) -> None: ...

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self.asked += 1
        if self.asked == 12:
            raise TransientServerError("the queue is full")
        if self.asked == 14:
            raise InferenceError("DETECTIONS reached 'summation' in host memory")
        if self.asked == 18:
            raise SwappedAnswerError("the answer to another request")
        place = int(request.frames_adu[0].argmax()) if self.asked != 16 else 0
        return ChunkAnswer(SparseSums(np.array([place]), np.array([1 << 16])), 1)


def _under_load(monkeypatch: pytest.MonkeyPatch) -> LoadResult:
    """One server answers first alone, then under load."""
    loaded, server = _Loaded(), Server("127.0.0.1:1", "http://127.0.0.1:1/metrics")
    monkeypatch.setattr(load, "TritonTransport", lambda *_, **__: loaded)
    alone = load.answers_alone(server, MODEL, (1, 64))
    return load.answers_under_load(
        server, MODEL, request=(1, 64), alone=alone, under_way=1, pool="64 MiB"
    )


def test_wrong_and_refused_answers_are_counted_and_full_queues_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "PAUSE_S", 0)
    assert _under_load(monkeypatch) == LoadResult(MODEL, "64 MiB", 3, wrong=0, refused=0)
    monkeypatch.setattr(load, "ROUNDS", 10)
    assert _under_load(monkeypatch) == LoadResult(MODEL, "64 MiB", 10, wrong=2, refused=1)


@pytest.mark.parametrize("model", check.ENSEMBLES)
def test_a_small_pool_holds_some_answers_and_not_those_under_way(model: str) -> None:
    answer = contract.ENSEMBLES[model].answer
    frames, size_px = load.small_request(model)
    answer_bytes = 4 * answer.channels * frames * (answer.zoom * size_px) ** 2
    assert 1 <= frames <= answer.frames_most(size_px, size_px)
    assert answer_bytes <= load.SMALL_POOL_BYTES / 3
    held = memory_pools.EXECUTIONS + memory_pools.SUMMATIONS_QUEUED + memory_pools.SUMMATIONS
    assert held * answer_bytes > 2 * load.SMALL_POOL_BYTES
    assert memory_pools.QUEUED + held < load.REQUESTS
