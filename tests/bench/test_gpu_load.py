"""Many requests at once, as ``gpu-check`` sends them: what counts as wrong, and as refused."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_bench.gpu import check, load
from smlm_bench.gpu.load import LoadResult
from smlm_bench.gpu.report import Findings
from smlm_bench.gpu.server import Server
from smlm_pipeline import contract
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.deploy import memory_pools
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, TransientServerError

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
        place = int(request.frames_adu[0].argmax()) if self.asked != 16 else 0
        return ChunkAnswer(SparseSums(np.array([place]), np.array([1 << 16])), 1)


def test_wrong_and_refused_answers_are_counted_and_full_queues_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "TritonTransport", _Loaded)
    monkeypatch.setattr(load, "PAUSE_S", 0)
    server = Server("127.0.0.1:1", "http://127.0.0.1:1/metrics")
    found = load.answers_under_load(server, MODEL, request=(1, 64), under_way=1, pool="64 MiB")
    assert found == LoadResult(MODEL, "64 MiB", 3, wrong=0, refused=0)
    monkeypatch.setattr(load, "ROUNDS", 10)
    found = load.answers_under_load(server, MODEL, request=(1, 64), under_way=1, pool="64 MiB")
    assert found == LoadResult(MODEL, "64 MiB", 10, wrong=1, refused=1)


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


def test_a_pool_that_was_never_full_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Findings("a machine")
    monkeypatch.setattr(
        check, "answers_under_load", lambda *_, **__: LoadResult(MODEL, "64 MiB", 384, 0, 0)
    )
    check.under_load(found, Server("", ""), MODEL, (1, 64), pool="64 MiB")
    assert found.left_out == [f"{MODEL}: a CUDA pool of 64 MiB was never full"]
    assert found.failures() == []
