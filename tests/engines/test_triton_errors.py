"""Every way in which a server can fail becomes one of our errors, with its address."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import triton_server
from fakes.sums import image
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.status import ServedNetwork
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import (
    ContractError,
    InferenceError,
    ReconError,
    ServerError,
    ServerFullError,
    SwappedAnswerError,
    TransientServerError,
)

FAILURES = [
    ("UNAVAILABLE", "Socket closed", TransientServerError, "did not answer: Socket closed"),
    ("UNAVAILABLE", "Exceeds maximum queue size", ServerFullError, "too many requests: Exceeds"),
    ("CANCELLED", "by peer", TransientServerError, "did not answer: by peer"),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", TransientServerError, "; --timeout-s allows"),
    (
        "NOT_FOUND",
        "Request for unknown model: 'm' has no available versions",
        TransientServerError,
        "did not answer: Request for unknown model",
    ),
    (
        "NOT_FOUND",
        "Request for unknown model: 'm' is not found",
        ContractError,
        "lacks the model: Request for unknown model: 'm' is not found",
    ),
    ("INVALID_ARGUMENT", "unexpected shape", InferenceError, "refused the chunk: unexpected"),
    ("INTERNAL", "the model failed", InferenceError, "refused the chunk: the model failed"),
    ("UNKNOWN", "who knows", InferenceError, "refused the chunk: who knows"),
    (
        "UNAVAILABLE",
        "This protocol is restricted, expecting header 'key'",
        ServerError,
        "refuses inference: This protocol is restricted",
    ),
]

failures = pytest.mark.parametrize(("status", "text", "kind", "message"), FAILURES)


@pytest.fixture
def request_() -> Request:
    frames = np.arange(2 * 16 * 20, dtype=np.uint16).reshape(2, 16, 20)
    levels = np.broadcast_to(np.array([100, 50], np.float32), (2, 2))
    return Request("frames 0 to 1", frames, levels, Window(4, 0, 0, 15, 18))


@pytest.fixture
def computing() -> ComputingTransport:
    return ComputingTransport()


@pytest.fixture
def server(computing: ComputingTransport) -> Iterator[FakeTriton]:
    with FakeTriton(computing) as server:
        yield server


@pytest.fixture
def closed_address() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@failures
def test_status_becomes_an_error(
    server: FakeTriton,
    request_: Request,
    status: str,
    text: str,
    kind: type[ReconError],
    message: str,
) -> None:
    server.failure = (getattr(grpc.StatusCode, status), f"{text}\nTraceback: of no use")
    with (
        TritonTransport(server.servers) as transport,
        pytest.raises(kind, match=message) as caught,
    ):
        transport.sum_chunk(request_)
    assert caught.type is kind
    told = str(caught.value)
    assert server.address in told
    assert "Traceback" not in told
    assert ("frames 0 to 1: " in told) is (kind is not ContractError)


@pytest.mark.parametrize("text", ["", "  \n "])
def test_error_without_words(server: FakeTriton, request_: Request, text: str) -> None:
    server.failure = (grpc.StatusCode.INTERNAL, text)
    with (
        TritonTransport(server.servers) as transport,
        pytest.raises(InferenceError, match=r"refused the chunk: no reason given$"),
    ):
        transport.sum_chunk(request_)


def test_sum_comes_back_as_it_was_computed(server: FakeTriton, request_: Request) -> None:
    expected = ComputingTransport().sum_chunk(request_)
    assert len(expected.sums.weight)
    with TritonTransport(server.servers) as transport:
        found = transport.sum_chunk(request_)
    assert found.frame_count == 2
    assert found.molecules is None
    window = request_.window
    np.testing.assert_array_equal(image(found.sums, window), image(expected.sums, window))


def test_all_that_is_asked_reaches_the_server(
    computing: ComputingTransport, server: FakeTriton, request_: Request
) -> None:
    """Views, classes with their borders, and a window with all its parts."""
    asked = dataclasses.replace(
        request_,
        frames_adu=request_.frames_adu[:, ::-1],
        window=Window(4, 1, 2, 13, 16, classes=3),
        class_borders_px=np.array([0.1, 0.2, 0.3], np.float32),
    )
    with TritonTransport(server.servers) as transport:
        transport.sum_chunk(asked)
    (found,) = computing.requests.values()
    assert found.window == asked.window
    for name in ("frames_adu", "levels_adu", "class_borders_px"):
        np.testing.assert_array_equal(getattr(found, name), getattr(asked, name))


def test_no_two_messages_have_a_number_in_common(server: FakeTriton, request_: Request) -> None:
    """Also if both send the same chunk."""
    with TritonTransport(server.servers) as transport:
        for _ in range(10):
            transport.sum_chunk(request_)
    assert len(set(server.numbers)) == 10


@pytest.mark.parametrize("different", [(0, 1), (1, 0)])
@pytest.mark.parametrize("lacks", ["", "WEIGHT"])
def test_an_answer_to_another_request_is_not_taken(
    server: FakeTriton, request_: Request, different: tuple[int, int], lacks: str
) -> None:
    server.number_off_by = np.array(different, np.int32)
    server.outputs = tuple(name for name in NAMES if name != lacks)
    words = f"frames 0 to 1: {server.address} sent the answer to another request"
    with (
        TritonTransport(server.servers) as transport,
        pytest.raises(SwappedAnswerError, match=words),
    ):
        transport.sum_chunk(request_)


NAMES = tuple(spec.name for spec in contract.RECONSTRUCTION.spec.outputs)


@pytest.mark.parametrize("lacks", NAMES)
def test_a_part_of_an_answer_is_a_lost_answer(
    server: FakeTriton, request_: Request, lacks: str
) -> None:
    server.outputs = tuple(name for name in NAMES if name != lacks)
    asked = dataclasses.replace(request_, window=Window(4, 0, 0, 15, 18, molecules=True))
    with (
        TritonTransport(server.servers) as transport,
        pytest.raises(TransientServerError, match=f"{server.address} answered without its sums"),
    ):
        transport.sum_chunk(asked)


def test_molecules_may_lack_where_none_were_asked_for(
    server: FakeTriton, request_: Request
) -> None:
    server.outputs = NAMES[:-1]
    with TritonTransport(server.servers) as transport:
        assert transport.sum_chunk(request_).molecules is None


def test_steps_without_weights_are_refused(
    server: FakeTriton, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(sums: SparseSums) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        step, weight = encode(sums)
        return step, weight[1:]

    monkeypatch.setattr(triton_server, "encode", cut_short)
    words = f"frames 0 to 1: {server.address} answered: STEP is .* expected two lists of 16-bit"
    with (
        TritonTransport(server.servers) as transport,
        pytest.raises(InferenceError, match=words),
    ):
        transport.sum_chunk(request_)


def test_the_latest_version_is_told(server: FakeTriton) -> None:
    with TritonTransport(server.servers) as transport:
        assert transport.served_network() == ServedNetwork("10", None)


@pytest.mark.parametrize(
    ("stated", "read"),
    [("4194304", 4194304), ("", None), ("many", None), ("-1", None), ("\u0663", None)],
)
def test_the_pixels_of_a_request_are_read(
    server: FakeTriton, stated: str, read: int | None
) -> None:
    server.request_pixels = stated
    with TritonTransport(server.servers) as transport:
        assert transport.served_network().request_pixels == read
        states = {model.name: model.request_pixels for model in transport.status().models}
    assert states[contract.UNET.name] == read


@pytest.mark.parametrize(
    ("stated", "read"),
    [("0.12; 0.1 0.15", {2: (0.12,), 3: (0.1, 0.15)}), ("", {}), ("narrow; wide", {}), (None, {})],
)
def test_the_borders_of_precision_classes_are_read(
    server: FakeTriton, stated: str | None, read: dict[int, tuple[float, ...]]
) -> None:
    server.class_borders_px = stated
    with TritonTransport(server.servers) as transport:
        assert transport.served_network().class_borders_px == read


@pytest.mark.parametrize(
    ("stated", "read"),
    [("sigma_px 0.8 2.2", {"sigma_px": (0.8, 2.2)}), ("", {}), ("wide; narrow", {}), (None, {})],
)
def test_the_ranges_of_training_are_read(
    server: FakeTriton, stated: str | None, read: dict[str, tuple[float, float]]
) -> None:
    server.trained_ranges = stated
    with TritonTransport(server.servers) as transport:
        assert transport.served_network().trained_ranges == read


def test_the_version_is_that_of_the_network(server: FakeTriton) -> None:
    """What is published anew is the network; the ensemble around it stays as it is."""
    server.network_versions = ("2", "11")
    with TritonTransport(server.servers) as transport:
        assert transport.served_network().version == transport.status().network_version == "11"


def test_status_of_a_server_that_fits(server: FakeTriton) -> None:
    with TritonTransport(server.servers) as transport:
        status = transport.status()
    assert status.fits
    told = status.as_dict()
    assert told["fits"] is True
    assert [model["name"] for model in told["models"]] == [m.name for m in contract.MODELS]
    assert told["models"][0] == {
        "name": "unet",
        "ready": True,
        "versions": ("9", "10"),
        "contract_version": str(contract.CONTRACT_VERSION),
        "request_pixels": None,
        "class_borders_px": {},
        "trained_ranges": {},
        "queue_most": None,
        "fits": True,
    }


@pytest.mark.parametrize("stated", ["99", "", None])
def test_another_contract_is_refused(stated: str | None) -> None:
    with (
        FakeTriton(ComputingTransport(), contract_version=stated) as server,
        TritonTransport(server.servers) as transport,
    ):
        assert not transport.status().fits
        with pytest.raises(ContractError, match=f"{server.address} serves 'reconstruction' under"):
            transport.served_network()


def test_a_server_without_the_model() -> None:
    with (
        FakeTriton(ComputingTransport(), models=("unet",)) as server,
        TritonTransport(server.servers) as transport,
    ):
        status = transport.status()
        with pytest.raises(ContractError, match=f"{server.address} has no model 'reconstruction'"):
            transport.served_network()
    assert [model.name for model in status.models if model.fits] == ["unet"]
    assert not status.fits


@pytest.mark.parametrize("asked", contract.ENSEMBLES)
def test_only_what_is_asked_has_to_be_there(asked: str) -> None:
    """A server with one of both ensembles is of full use to those who ask for it."""
    models = (*(step.name for step in contract.ENSEMBLES[asked].steps), asked)
    with FakeTriton(ComputingTransport(), models=models) as server:
        for model in contract.ENSEMBLES:
            with TritonTransport(server.servers, model=model) as transport:
                status = transport.status()
            assert status.fits is (model == asked)
            assert status.asked == model
            assert {each.name for each in status.models if not each.ready} == (
                {each.name for each in contract.MODELS} - set(models)
            )


def test_a_step_that_does_not_fit_counts() -> None:
    models = ("summation", "reconstruction")
    with (
        FakeTriton(ComputingTransport(), models=models) as server,
        TritonTransport(server.servers) as transport,
    ):
        assert not transport.status().fits


def test_a_model_of_another_name_is_asked_for_itself() -> None:
    with (
        FakeTriton(ComputingTransport(), models=("mine",)) as server,
        TritonTransport(server.servers, model="mine") as transport,
    ):
        status = transport.status()
        assert status.fits
        assert status.models[-1].name == "mine"
        assert transport.served_network() == ServedNetwork("10", None)


def test_no_server_to_ask(closed_address: str) -> None:
    expected = f"no Triton server answers at {closed_address} .*; start one with 'recon-client se"
    with TritonTransport(Servers.parse(closed_address)) as transport:
        with pytest.raises(ServerError, match=expected):
            transport.status()
        with pytest.raises(ServerError, match=expected):
            transport.served_network()


def test_no_server_to_sum(closed_address: str, request_: Request) -> None:
    with (
        TritonTransport(Servers.parse(closed_address)) as transport,
        pytest.raises(TransientServerError, match=f"frames 0 to 1: .* {closed_address} did not"),
    ):
        transport.sum_chunk(request_)
