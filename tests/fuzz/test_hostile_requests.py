"""Damaged requests to a real server: each gets an answer or an error, and none a wrong image."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from fakes.mutations import chance_of, mutated, seeds
from fakes.network_inputs import REQUEST
from smlm_pipeline import contract
from smlm_pipeline.engines import canary, fleet
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.watched import Watch
from smlm_pipeline.errors import ServerError

pytestmark = pytest.mark.triton

INFER = "/inference.GRPCInferenceService/ModelInfer"
SIZES = [-(2**63), -8, -1, 0, 1, 2, 3, 15, 16, 17, 64, 65, 513, 2**31, 2**60, 2**62, 2**63 - 1]
NUMBERS = [float("nan"), float("inf"), -1.0, 0.0, 1e-45, 3e38]
WHOLE = [-(2**31), -1, 0, 1, 7, 65, 2**20, 2**31 - 1]
TYPES = ["UINT8", "INT8", "FP32", "INT32", "INT64", "BYTES", "BOOL", "FP16", "none", ""]
TRITON_SAID = {"OK", "INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "UNIMPLEMENTED", "UNKNOWN"}
LOST = {"UNAVAILABLE", "CANCELLED"}


@pytest.fixture(scope="module")
def watch(small_repository: Path) -> Iterator[tuple[Watch, EmbeddedServer]]:
    server = EmbeddedServer(small_repository)
    with Watch(server, [contract.RECONSTRUCTION.name], restarts_most=1000) as watch:
        yield watch, server


def _valid(model: contract.ModelSpec) -> service_pb2.ModelInferRequest:
    """Two frames of 32 x 32 pixels."""
    arrays: dict[str, NDArray[Any]] = {
        "FRAMES": np.random.default_rng(0).integers(0, 256, (2, 32, 32, 2), np.uint8),
        "LEVELS": np.array([[100, 200]] * 2, np.float32),
        "REQUEST": REQUEST,
        "COMPUTED_REQUEST": REQUEST,
        "WINDOW": np.array([8, 0, 0, 32, 32, 1, 0], np.int32),
        "CLASS_BORDERS": np.zeros(3, np.float32),
        "DETECTIONS": np.full((2, 7, 32, 32), 0.1, np.float32),
    }
    request = service_pb2.ModelInferRequest(model_name=model.name)
    for spec in model.inputs:
        array = arrays[spec.name]
        request.inputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def _damaged(request: service_pb2.ModelInferRequest, chance: random.Random) -> bytes:
    if chance.random() < 0.15:
        return mutated(request.SerializeToString(), chance)
    for _ in range(chance.choice([1, 1, 2, 3])):
        index = chance.randrange(len(request.inputs))
        tensor, raw = request.inputs[index], request.raw_input_contents
        kind = chance.randrange(7)
        if kind == 0 and tensor.shape:
            tensor.shape[chance.randrange(len(tensor.shape))] = chance.choice(SIZES)
        elif kind == 1:
            tensor.datatype = chance.choice(TYPES)
        elif kind == 2:
            tensor.name = chance.choice(["FRAMES", "WINDOW", "", "x" * 1000, "\x1b[31m"])
        elif kind == 3:
            raw[index] = mutated(raw[index], chance)
        elif kind == 4:
            value = struct.pack("<f", chance.choice(NUMBERS))
            if chance.random() < 0.5:
                value = struct.pack("<i", chance.choice(WHOLE))
            place = 4 * chance.randrange(max(len(raw[index]) // 4, 1))
            raw[index] = raw[index][:place] + value + raw[index][place + 4 :]
        elif kind == 5:
            request.outputs.add(name=chance.choice(["WEIGHT", "none", ""]))
        else:
            request.model_version = chance.choice(["", "1", "99", "-1", "../1"])
    return bytes(request.SerializeToString())


def test_requests(watch: tuple[Watch, EmbeddedServer]) -> None:
    watched, server = watch
    models = [each for each in contract.MODELS if each.name in ("unet", "summation")]
    models.append(contract.RECONSTRUCTION.spec)
    answers: Counter[str] = Counter()
    with (
        grpc.insecure_channel(server.address) as channel,
        fleet.connect(server.servers, contract.RECONSTRUCTION.name) as transport,
    ):
        right = transport.sum_chunk(canary._request()).sums.dense(canary._WINDOW.shape[1:])
        for seed in seeds(at_least=60):
            chance = chance_of(seed)
            generation = watched.generation
            try:
                channel.unary_unary(INFER)(
                    _damaged(_valid(chance.choice(models)), chance), timeout=60, wait_for_ready=True
                )
                code, text = "OK", ""
            except grpc.RpcError as error:
                code, text = error.code().name, error.details()
            answers[code] += 1
            assert code in TRITON_SAID | LOST, f"seed {seed}: {code} {text}"
            assert "Traceback" not in text, f"seed {seed}"
            if code in LOST or "tub process" in text:
                watched.settle(generation)
            if seed % 10 == 0:
                try:
                    answer = transport.sum_chunk(canary._request())
                except ServerError:  # the server is lost: it is replaced, and answers again
                    watched.settle(generation)
                    assert transport.reconnect(60)
                    answer = transport.sum_chunk(canary._request())
                found = answer.sums.dense(canary._WINDOW.shape[1:])
                np.testing.assert_array_equal(found, right, err_msg=f"seed {seed}")
    assert answers["OK"]
    assert answers["INVALID_ARGUMENT"] > answers["INTERNAL"]
