"""The gate before a real server: honest films keep their bits, and nothing ends the server."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fakes.certificates import authority, issued, needs_openssl
from fakes.command_line import invoke
from fakes.gates import RunningGate, gate_before
from fakes.infer_requests import LARGE, SHAPES_THAT_WRAP, request, too_large
from fakes.mutations import chance_of, mutated, seeds
from smlm_pipeline import contract
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.gate.calls import QUESTIONS, SERVICE
from smlm_pipeline.gate.requests import REQUEST_BYTES_MOST

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def gate(triton: EmbeddedServer) -> Iterator[RunningGate]:
    """After all attacks both work, and no process of the server has ended."""
    triton.process.note_stubs()
    with gate_before(triton.address) as gate:
        yield gate
        assert triton.process.fault() is None
        for model in contract.ENSEMBLES:
            done = invoke("status", "--server", gate.address, "--model", model)
            assert done.exit_code == 0, done.stderr


@pytest.fixture(scope="module")
def channel(gate: RunningGate) -> Iterator[grpc.Channel]:
    unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    with grpc.insecure_channel(gate.address, options=unlimited) as channel:
        yield channel


def _answer(channel: grpc.Channel, message: bytes, method: str = "ModelInfer") -> tuple[str, str]:
    """Code and text of the answer."""
    try:
        channel.unary_unary(SERVICE + method)(message, timeout=60)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


@pytest.mark.parametrize("model", ["reconstruction", "reconstruction_map"])
def test_a_film_has_the_bits_of_the_direct_way(
    gate: RunningGate, triton: EmbeddedServer, film_file: Path, tmp_path: Path, model: str
) -> None:
    images: list[Path] = []
    for address in (triton.address, gate.address):
        images.append(tmp_path / f"{len(images)}.ome.tif")
        table = images[-1].with_suffix(".csv")
        molecules = () if model == "reconstruction_map" else ("--molecules", table)
        options = ("--model", model, *molecules, "-q", "--chunk-frames", "8")
        done = invoke("submit", film_file, "-o", images[-1], "--server", address, *options)
        assert done.exit_code == 0, done.stderr
    direct, through = (tifffile.imread(image) for image in images)
    np.testing.assert_array_equal(through, direct)
    assert direct.any()
    if model == "reconstruction":
        first, second = (image.with_suffix(".csv").read_text() for image in images)
        assert second == first


@pytest.mark.parametrize("name", SHAPES_THAT_WRAP)
def test_shapes_that_wrap_end_nothing(
    channel: grpc.Channel, triton: EmbeddedServer, name: str
) -> None:
    """Each ends a process of the server if it reaches it: docs/security.md."""
    model, claimed = SHAPES_THAT_WRAP[name]
    code, text = _answer(channel, request(model, claimed=claimed).SerializeToString())
    assert code == ("INVALID_ARGUMENT" if model in contract.ENSEMBLES else "NOT_FOUND"), text
    assert triton.process.fault() is None


@pytest.mark.parametrize("name", LARGE)
def test_more_than_a_machine_has_is_refused(channel: grpc.Channel, name: str) -> None:
    sent = too_large(name).SerializeToString()
    code, text = _answer(channel, sent)
    assert code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"), text
    assert (code == "RESOURCE_EXHAUSTED") == (len(sent) > REQUEST_BYTES_MOST)


ADMIN = [
    *("SystemSharedMemoryRegister", "SystemSharedMemoryUnregister", "SystemSharedMemoryStatus"),
    *("CudaSharedMemoryRegister", "CudaSharedMemoryStatus", "RepositoryIndex"),
    *("RepositoryModelLoad", "RepositoryModelUnload", "TraceSetting", "LogSettings"),
    *("ModelStatistics", "ModelStreamInfer"),
]


def test_methods_that_clients_do_not_need_do_not_exist(channel: grpc.Channel) -> None:
    known = {
        each.name
        for each in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    }
    assert known >= {*ADMIN, *QUESTIONS}
    for method in known - {*QUESTIONS, "ModelInfer"}:
        assert _answer(channel, b"", method)[0] == "UNIMPLEMENTED", method


def test_questions_name_models_of_the_contract_alone(channel: grpc.Channel) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=30).live
    for name in ("reconstruction", "unet"):
        assert stub.ModelReady(service_pb2.ModelReadyRequest(name=name), timeout=30).ready
    assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="../x"), timeout=30).ready
    for method in ("ModelConfig", "ModelMetadata"):
        asked = getattr(service_pb2, f"{method}Request")(name="a\x1b[31m" * 100)
        assert _answer(channel, asked.SerializeToString(), method)[0] == "NOT_FOUND"
        assert _answer(channel, b"\xff" * 9, method)[0] == "INVALID_ARGUMENT"
        assert _answer(channel, bytes(9000), method)[0] == "INVALID_ARGUMENT"


NUMBERS = [float("nan"), float("inf"), -1.0, 0.0, 1e-45, 3e38]


def _damaged(seed: int) -> bytes:
    chance = chance_of(seed)
    sent: Any = request(chance.choice([*contract.ENSEMBLES, "unet", "summation"]))
    index = chance.randrange(len(sent.inputs))
    kind = chance.randrange(4)
    if kind == 0:
        shape = sent.inputs[index].shape
        shape[chance.randrange(len(shape))] = chance.choice([-(2**63), -8, 0, 1, 2**31, 2**62])
    elif kind == 1:
        raw = sent.raw_input_contents[index]
        value = struct.pack("<f", chance.choice(NUMBERS))
        place = 4 * chance.randrange(len(raw) // 4)
        sent.raw_input_contents[index] = raw[:place] + value + raw[place + 4 :]
    elif kind == 2:
        sent.raw_input_contents[index] = mutated(sent.raw_input_contents[index], chance)
    else:
        return mutated(sent.SerializeToString(), chance)
    return bytes(sent.SerializeToString())


def test_damaged_requests(channel: grpc.Channel, triton: EmbeddedServer) -> None:
    """None reaches the server that it does not answer: not one INTERNAL, no process ends."""
    answers: Counter[str] = Counter()
    for seed in seeds(at_least=80):
        code, text = _answer(channel, _damaged(seed))
        answers[code] += 1
        assert code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), f"seed {seed}: {code} {text}"
    assert triton.process.fault() is None
    assert answers["OK"]
    assert answers["INVALID_ARGUMENT"] > 10


def test_http_reaches_no_one(gate: RunningGate) -> None:
    """A million chunks of one byte ended Triton 2.51; a page in a browser could send them."""
    for address in (gate.address, gate.page):
        host, port = address.split(":")
        with (
            contextlib.suppress(OSError),  # it hangs up
            socket.create_connection((host, int(port)), 10) as connection,
        ):
            head = "POST /v2/models/unet/infer HTTP/1.1\r\nHost: evil.example\r\n"
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            for _ in range(100):
                connection.sendall(b"1\r\nx\r\n" * 10_000)
    with urllib.request.urlopen(f"http://{gate.page}/ready", timeout=30) as answer:
        assert answer.read() == b"ready\n"


@needs_openssl
def test_tokens_and_certificates_through_tls(triton: EmbeddedServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-this-test\n")
    digest = hashlib.sha256(b"a-token-of-this-test").hexdigest()
    clients = tmp_path / "clients.yaml"
    clients.write_text(f"microscope: {{token_sha256: {digest}, frames: 1}}\n")
    certificate, key = issued("server")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--clients", str(clients)]
    ca = ("--tls-ca", authority().ca)
    with gate_before(triton.address, *options) as gate:
        without = invoke("status", "--server", gate.address, *ca)
        known = invoke("status", "--server", gate.address, *ca, "--token-file", token)
        plain = invoke("status", "--server", gate.address)
        page = urllib.request.urlopen(f"http://{gate.page}/metrics", timeout=30)
        with page as answer:
            counts = answer.read().decode()
    assert without.exit_code == 4
    assert "does not admit this client: the gate knows neither a token" in without.stderr
    assert known.exit_code == 0, known.stderr
    assert "it expects TLS" in plain.stderr
    assert 'recon_gate_requests_total{client="microscope",code="OK"} 1' in counts
