"""What the gate lets through: the bytes of an honest request, and nothing that harms a server."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from fakes import infer_requests
from fakes.infer_requests import LARGE, SHAPES_THAT_WRAP, arrays, request, too_large
from fakes.mutations import chance_of, mutated, seeds
from smlm_pipeline import contract
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError, ContractError
from smlm_pipeline.gate.clients import Limits
from smlm_pipeline.gate.requests import (
    ANSWER_BYTES_MOST,
    REQUEST_BYTES_MOST,
    answer_bytes_most,
    check_request,
)

LIMITS = Limits(16, contract.MAX_FRAMES, contract.DETECTION_ANSWER.pixels_most, 1000.0)
Message = service_pb2.ModelInferRequest


@pytest.mark.parametrize("model", contract.ENSEMBLES)
def test_an_honest_request_keeps_its_bytes(model: str) -> None:
    sent = request(model)
    sent.id, sent.model_version = "chunk 7", "1"
    sent.outputs.add(name="WEIGHT")
    checked = check_request(sent.SerializeToString(), LIMITS)
    assert checked.message == sent.SerializeToString()
    assert checked.frames == 2


def test_the_server_gets_the_contract_s_order() -> None:
    """Whatever order and encoding a client chose: the server reads no other bytes than ours."""
    sent = request()
    turned = Message(model_name=sent.model_name)
    turned.inputs.extend(reversed(sent.inputs))
    turned.raw_input_contents.extend(reversed(sent.raw_input_contents))
    twice = Message(model_name="unet").SerializeToString() + turned.SerializeToString()
    assert check_request(twice, LIMITS).message == sent.SerializeToString()


@pytest.mark.parametrize("name", SHAPES_THAT_WRAP)
def test_shapes_that_wrap(name: str) -> None:
    model, claimed = SHAPES_THAT_WRAP[name]
    kind = ChunkError if model in contract.ENSEMBLES else ContractError
    with pytest.raises(kind, match=r"expected"):
        check_request(request(model, claimed=claimed).SerializeToString(), LIMITS)


@pytest.mark.parametrize("name", LARGE)
def test_more_than_a_machine_has(name: str) -> None:
    with pytest.raises(ChunkError, match=r"expected (edges of )?at most"):
        check_request(too_large(name).SerializeToString(), LIMITS)


def test_the_largest_request_of_the_contract_passes() -> None:
    values = arrays(16, 512, 512)
    sent = request(values={**values, "WINDOW": np.array([8, 0, 0, 512, 512, 1, 0], np.int32)})
    assert len(sent.SerializeToString()) < REQUEST_BYTES_MOST
    checked = check_request(sent.SerializeToString(), LIMITS)
    assert checked.frames * 512 * 512 == LIMITS.pixels


def test_an_answer_has_at_most_so_many_bytes() -> None:
    """All SR pixels with large sums, far apart, and a molecule in every camera pixel."""
    core_px, frames = 16, 1
    pixels = frames * core_px**2
    for zoom, classes in ((1, 1), (2, 4), (64, 1)):
        asked = Window(zoom, 0, 0, core_px, core_px, classes, molecules=True)
        weight = np.zeros(asked.size, np.int64)
        weight[-pixels:] = contract.WEIGHT_ONE  # as far from the start as can be
        everywhere = encode(SparseSums(np.arange(asked.size), np.maximum(weight, 1)))
        at_the_end = encode(
            SparseSums(np.arange(asked.size - pixels, asked.size), weight[-pixels:])
        )
        molecules = np.zeros((pixels, len(contract.MOLECULE_COLUMNS)), np.float32)
        for step, summed in (everywhere, at_the_end):
            size_bytes = step.nbytes + summed.nbytes + molecules.nbytes
            most = answer_bytes_most(asked.size, pixels, molecules=True)
            assert size_bytes <= most <= ANSWER_BYTES_MOST


def test_molecules_and_classes_are_counted() -> None:
    plain = Window(8, 0, 0, 32, 32)
    one = answer_bytes_most(plain.size, 2048, molecules=False)
    assert answer_bytes_most(plain.size, 2048, molecules=True) == one + 32 * 2048
    four = replace(plain, classes=4)
    assert answer_bytes_most(four.size, 2048, molecules=False) == one + 4 * 3 * plain.size


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(1, 1, 1 << 22, 1.0), "has 2 frames; this gate allows 1"),
        (Limits(1, 2, 2047, 1.0), "has 2048 camera pixels; this gate allows 2047"),
    ],
)
def test_limits_of_a_client(limits: Limits, words: str) -> None:
    with pytest.raises(ChunkError, match=words):
        check_request(request().SerializeToString(), limits)


def _parameters(sent: Any, count: int = 1) -> None:
    for number in range(count):
        sent.parameters[f"p{number}"].int64_param = 1


def _input_parameter(sent: Any) -> None:
    sent.inputs[0].parameters["shared_memory_region"].string_param = "triton"


def _outputs(sent: Any, *names: str) -> None:
    for name in names:
        sent.outputs.add(name=name)


def _contents(sent: Any) -> None:
    sent.inputs[0].contents.int_contents.extend([1] * 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_parameters, "has parameters; expected none"),
        (lambda sent: _parameters(sent, 5000), "bytes beside 0 tensors; expected at most"),
        (_input_parameter, "has parameters; expected none"),
        (lambda sent: _outputs(sent, "DETECTIONS"), "asks for other outputs than"),
        (lambda sent: _outputs(sent, "STEP", "STEP"), "asks for other outputs than"),
        (lambda sent: _outputs(sent, *["STEP"] * 2000), "asks for other outputs than"),
        (_contents, "typed contents; expected raw_input_contents"),
        (lambda sent: sent.inputs.add(name="FRAMES"), "each once"),
        (lambda sent: sent.raw_input_contents.append(b""), "each once"),
        (lambda sent: sent.raw_input_contents.extend([b""] * 100), "tensors; expected at most"),
        (lambda sent: setattr(sent.inputs[0], "name", "x" * 9000), "each once"),
        (lambda sent: setattr(sent.inputs[0], "datatype", "BYTES"), "FRAMES is 'BYTES' of shape"),
        (lambda sent: setattr(sent, "id", "a\nb"), "the id is no text"),
        (lambda sent: setattr(sent, "id", "x" * 65), "the id is no text"),
    ],
)
def test_what_no_client_of_ours_sends(change: Any, words: str) -> None:
    sent = request()
    change(sent)
    with pytest.raises(ChunkError, match=words):
        check_request(sent.SerializeToString(), LIMITS)


@pytest.mark.parametrize("version", ["-1", "../1", "1" * 10, "²"])
def test_versions_that_are_none(version: str) -> None:
    sent = request()
    sent.model_version = version
    with pytest.raises(ContractError, match="is no number"):
        check_request(sent.SerializeToString(), LIMITS)


def test_values_out_of_bounds() -> None:
    levels = np.array([[1, 1], [1, np.nan]], np.float32)
    for values, words in (
        ({"LEVELS": levels}, "must be finite"),
        ({"WINDOW": np.array([65, 0, 0, 32, 32, 1, 0], np.int32)}, "65 as zoom"),
        ({"WINDOW": np.array([8, 0, 0, 33, 32, 1, 0], np.int32)}, "does not lie in a tile"),
        ({"WINDOW": np.array([8, 0, 0, 32, 32, 5, 0], np.int32)}, "5 as precision classes"),
    ):
        with pytest.raises(ChunkError, match=words):
            check_request(request(values=values).SerializeToString(), LIMITS)
    maps = request("reconstruction_map", {"WINDOW": np.array([4, 0, 0, 32, 32, 1, 0], np.int32)})
    with pytest.raises(ChunkError, match="zoom of the network's map"):
        check_request(maps.SerializeToString(), LIMITS)


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"\xff", b"\x08\x01", b"\x0b\x0c", b"\x0a\x7f", b"\x3a\xff\xff\xff\xff\xff\x7f"),
        *(b"\x42\x00", b"\x8a\x00", b"\x0a\x02\xff\xfe", b"\x2a\x00" * 5000),
    ],
    ids=range(10),
)
def test_bytes_that_are_no_request(message: bytes) -> None:
    with pytest.raises((ChunkError, ContractError)):
        check_request(message, LIMITS)


def test_a_refusal_takes_no_time() -> None:
    """Not even for the largest message that gRPC takes: eight million bytes of nothing."""
    started_s = time.perf_counter()
    for filler in (b"\x2a\x00", b"\x3a\x00", b"\x00", b"\x0a\x00"):
        with pytest.raises(ChunkError):
            check_request(filler * (REQUEST_BYTES_MOST // len(filler)), LIMITS)
    assert time.perf_counter() - started_s < 5


def test_damaged_requests_pass_as_what_the_contract_allows_or_not_at_all() -> None:
    passed = 0
    for seed in seeds(at_least=300):
        chance = chance_of(seed)
        model = chance.choice([*contract.ENSEMBLES])
        damaged = mutated(request(model).SerializeToString(), chance)
        try:
            checked = check_request(damaged, LIMITS)
        except (ChunkError, ContractError):
            continue
        passed += 1
        again = Message.FromString(checked.message)
        names = [tensor.name for tensor in again.inputs]
        assert names == [spec.name for spec in infer_requests.SPECS[again.model_name].inputs]
        assert check_request(checked.message, LIMITS) == checked, f"seed {seed}"
    assert passed
