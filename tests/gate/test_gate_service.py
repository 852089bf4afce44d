"""A gate under way: limits, what clients are told, and a server that is gone."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from typer.testing import Result

from fakes.certificates import authority, issued, needs_openssl, other_authority
from fakes.command_line import invoke, one_line, write_film
from fakes.gates import HeldEngine, code_of, gate_before
from fakes.infer_requests import request
from fakes.processes import free_port, wait_for
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.gate.calls import SERVICE

MESSAGE = request().SerializeToString()


@pytest.fixture
def held() -> Iterator[HeldEngine]:
    held = HeldEngine()
    yield held
    held.let_go.set()


def test_a_client_has_so_many_requests_under_way(held: HeldEngine) -> None:
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address, "--requests", "2") as gate,
        ThreadPoolExecutor(2) as pool,
    ):
        under_way = [pool.submit(code_of, gate.address) for _ in range(2)]
        wait_for(lambda: held.asked == 2, "two requests to be under way")
        code, text = code_of(gate.address)
        with urllib.request.urlopen(f"http://{gate.page}/metrics", timeout=30) as page:
            counts = page.read().decode()
        held.let_go.set()
        assert [each.result()[0] for each in under_way] == ["OK", "OK"]
        assert code_of(gate.address)[0] == "OK"
    assert (code, "has 2 requests under way, which is its limit" in text) == (
        "RESOURCE_EXHAUSTED",
        True,
    )
    assert 'recon_gate_under_way{client="anonymous"} 2' in counts


def test_a_film_waits_for_its_limit(tmp_path: Path) -> None:
    """Refusals for the limit are sent again, and cost no attempt: ``--attempts 1`` suffices."""
    with (
        FakeTriton(ComputingTransport()) as triton,
        gate_before(triton.address, "--requests", "1") as gate,
    ):
        film = write_film(tmp_path / "film.tif")
        options = ("--chunk-frames", "1", "--in-flight", "4", "--attempts", "1", "-q")
        done = invoke("submit", film, "-o", tmp_path / "i.tif", "--server", gate.address, *options)
        assert done.exit_code == 0, done.stderr
        assert triton.answered >= 16


class _Counting:
    """An engine that notes how many requests it has at once at most."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock, self._engine = threading.Lock(), ComputingTransport()

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        answer = self._engine.sum_chunk(request)
        with self._lock:
            self._now -= 1
        return answer


def test_a_server_gets_no_more_than_its_queues_hold(tmp_path: Path) -> None:
    """The others wait in the gate; the server would refuse them."""
    engine = _Counting()
    with FakeTriton(engine) as triton:
        triton.queue_most = 1
        with gate_before(triton.address) as gate:
            film = write_film(tmp_path / "film.tif")
            options = ("--chunk-frames", "1", "--in-flight", "8", "--attempts", "1", "-q")
            asked = ("-o", tmp_path / "i.tif", "--server", gate.address)
            done = invoke("submit", film, *asked, *options)
    assert done.exit_code == 0, done.stderr
    assert engine.most == 2, "one in work, one in the queue"


def test_requests_wait_for_a_place(held: HeldEngine) -> None:
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address, shortened={"service.REQUESTS_MOST": 2}) as gate,
        ThreadPoolExecutor(5) as pool,
    ):
        waiting = [pool.submit(code_of, gate.address) for _ in range(5)]
        wait_for(lambda: held.asked == 2, "two requests to be under way")
        time.sleep(0.5)
        assert held.asked == 2
        assert not any(each.done() for each in waiting)
        held.let_go.set()
        assert {each.result()[0] for each in waiting} == {"OK"}


def test_a_request_waits_so_long_for_a_place(held: HeldEngine) -> None:
    shortened = {"service.REQUESTS_MOST": 1, "service.PLACE_S": 0.5}
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address, shortened=shortened) as gate,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(code_of, gate.address)
        wait_for(lambda: held.asked == 1, "a request to be under way")
        code, text = code_of(gate.address)
        held.let_go.set()
        assert first.result()[0] == "OK"
    assert (code, "send it again later" in text) == ("RESOURCE_EXHAUSTED", True)


def test_a_client_that_hangs_up_frees_its_place(held: HeldEngine) -> None:
    with FakeTriton(held) as triton, gate_before(triton.address, "--requests", "1") as gate:
        with grpc.insecure_channel(gate.address) as channel:
            pending = channel.unary_unary(f"{SERVICE}ModelInfer").future(MESSAGE, timeout=60)
            wait_for(lambda: held.asked == 1, "a request to be under way")
            pending.cancel()
        held.let_go.set()
        wait_for(lambda: code_of(gate.address)[0] == "OK", "its place to be free")


def test_what_the_server_says_reaches_the_client_as_far_as_it_needs_it() -> None:
    with FakeTriton(ComputingTransport()) as triton, gate_before(triton.address) as gate:
        for failure, expected in (
            ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), "maximum queue size"),
            ((grpc.StatusCode.INTERNAL, "Stub process 'unet_0' is not healthy"), "Stub process"),
            ((grpc.StatusCode.INTERNAL, "at 10.1.2.3"), "behind the gate answered with INTERNAL"),
            ((grpc.StatusCode.INVALID_ARGUMENT, "WINDOW asks"), "WINDOW asks"),
            ((grpc.StatusCode.UNKNOWN, "10.1.2.3: Stream removed"), "Stream removed"),
            ((grpc.StatusCode.INTERNAL, "Received RST_STREAM"), "RST_STREAM"),
            (
                (grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max"),
                "larger than max",
            ),
        ):
            triton.failure = failure
            code, text = code_of(gate.address)
            assert code == failure[0].name
            assert expected in text
            assert "10.1.2.3" not in text


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    server = f"127.0.0.1:{free_port()}"
    with gate_before(server) as gate:
        code, text = code_of(gate.address)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://{gate.page}/ready", timeout=30)
        status = invoke("status", "--server", gate.address)
    assert (code, text) == ("UNAVAILABLE", "the server behind the gate answered with UNAVAILABLE")
    assert status.exit_code == 4
    assert server not in status.stderr


def test_an_address_that_is_taken() -> None:
    with FakeTriton(ComputingTransport()) as triton:
        taken = invoke("gate", "--listen", triton.address, "--server", triton.address)
    assert taken.exit_code == 4
    assert "cannot be listened on; expected an address of this machine" in one_line(taken)
    several = invoke("gate", "--listen", "a:1,b:2")
    assert several.exit_code == 2
    assert "expected one address" in one_line(several)


def test_a_message_that_would_unpack_to_more_is_not_unpacked() -> None:
    bomb = b"\x3a" + bytes([0x80, 0x80, 0x80, 0x80, 0x01]) + bytes(1 << 28)
    with (
        FakeTriton(ComputingTransport()) as triton,
        gate_before(triton.address) as gate,
        grpc.insecure_channel(
            gate.address, options=[("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        for message in (bomb, MESSAGE):
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(f"{SERVICE}ModelInfer")(
                    message, timeout=60, compression=grpc.Compression.Gzip
                )
            assert refused.value.code().name == "INVALID_ARGUMENT", refused.value.details()
        status = Path(f"/proc/{gate.process.pid}/status").read_text()
        (most_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        assert int(most_kib) < 200 << 10
        assert code_of(gate.address)[0] == "OK"


def test_a_request_that_never_comes_whole_holds_one_place(held: HeldEngine) -> None:
    """An upload that stops is no reason for others to wait."""
    held.let_go.set()
    with (
        FakeTriton(held) as triton,
        gate_before(triton.address) as gate,
        grpc.insecure_channel(gate.address) as channel,
    ):
        stopped = threading.Event()

        def nothing() -> Iterator[bytes]:
            stopped.wait(60)
            yield MESSAGE

        slow = channel.stream_stream(f"{SERVICE}ModelInfer")(nothing(), timeout=60)
        started_s = time.monotonic()
        assert code_of(gate.address)[0] == "OK"
        assert time.monotonic() - started_s < 30
        stopped.set()
        assert len(list(slow)) == 1


def test_servers_of_another_network_get_no_requests(tmp_path: Path) -> None:
    """Three servers, one with another network, one that is not there."""
    film = write_film(tmp_path / "film.tif")
    servers = [FakeTriton(ComputingTransport()) for _ in range(3)]
    servers[2].class_borders_px = "0.3; 0.2 0.4; 0.1 0.3 0.5"
    with servers[0], servers[1], servers[2]:
        names = [each.address for each in servers] + [f"127.0.0.1:{free_port()}"]
        with gate_before(",".join(names)) as gate:
            done = _submit(film, gate.address)
    assert done.exit_code == 0, done.stderr
    answered = [each.answered for each in servers]
    assert min(answered[:2]) > 0, answered
    assert answered[2] == 0
    unlike = f"{names[2]}: other networks than those of {names[0]} and {names[1]}, so no requests"
    assert unlike in "".join(gate.lines)


def _submit(film: Path, server: str, *options: str | Path) -> Result:
    """A film in sixteen requests."""
    rest = ("--chunk-frames", "1", "--in-flight", "4", "-q", "--overwrite", *options)
    return invoke("submit", film, "-o", film.with_name("i.tif"), "--server", server, *rest)


@needs_openssl
def test_servers_with_tls_that_ask_for_a_certificate(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.tif")
    certificate, key = issued("server")
    own, own_key = issued("gate")
    ca = authority().ca
    pair = [(key.read_bytes(), certificate.read_bytes())]
    triton = FakeTriton(ComputingTransport())
    address = triton.listen(grpc.ssl_server_credentials(pair, ca.read_bytes(), True))
    tls = ("--server-tls-ca", str(ca), "--server-tls-cert", str(own), "--server-tls-key")
    with triton:
        with gate_before(address, *tls, str(own_key)) as gate:
            done = _submit(film, gate.address)
        assert done.exit_code == 0, done.stderr
        assert triton.answered >= 16
        with gate_before(address, "--server-tls-ca", str(ca)) as gate:
            refused = invoke("status", "--server", gate.address)
    assert refused.exit_code == 4
    wrong = invoke("gate", "--server-tls-ca", key)
    assert wrong.exit_code == 2
    assert f"--server-tls-ca {key} has no certificate" in one_line(wrong)
    alone = invoke("gate", "--server-tls-key", own_key)
    assert "--server-tls-key is given without --server-tls-cert" in one_line(alone)


@needs_openssl
def test_a_certificate_for_servers_is_read_again(tmp_path: Path) -> None:
    certificate, key = issued("server")
    own, own_key, ca = tmp_path / "gate.pem", tmp_path / "gate.key", authority().ca

    def show(pair: tuple[Path, Path]) -> None:
        for source, target in zip(pair, (own, own_key), strict=True):
            target.write_bytes(source.read_bytes())

    show(other_authority().issue("gate"))
    triton = FakeTriton(ComputingTransport())
    pair = [(key.read_bytes(), certificate.read_bytes())]
    address = triton.listen(grpc.ssl_server_credentials(pair, ca.read_bytes(), True))
    options = ["--server-tls-ca", str(ca), "--server-tls-cert", str(own), "--server-tls-key"]
    with triton, gate_before(address, *options, str(own_key)) as gate:
        assert code_of(gate.address)[0] == "UNAVAILABLE"
        own.write_text("none")
        assert "the certificates before stay" in gate.line_with("cannot be used")
        show(issued("gate"))
        gate.line_with(f"{own} is read again")
        wait_for(lambda: code_of(gate.address)[0] == "OK", "the server to know the gate")


@needs_openssl
def test_clients_and_certificates_are_read_again(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    clients, token = tmp_path / "clients.yaml", tmp_path / "token"
    token.write_text("second")

    def write(first: tuple[Path, Path], known: str) -> None:
        for source, target in zip(first, (certificate, key), strict=True):
            target.write_bytes(source.read_bytes())
        clients.write_text(known)

    def listed(secret: str) -> str:
        return f"ada: {{token_sha256: {hashlib.sha256(secret.encode()).hexdigest()}}}\n"

    write(other_authority().issue("first"), listed("first"))
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--clients", str(clients)]
    ask = ("--tls-ca", authority().ca, "--token-file", token)
    with FakeTriton(ComputingTransport()) as triton, gate_before(triton.address, *options) as gate:

        def state() -> Result:
            return invoke("status", "--no-canary", "--server", gate.address, *ask)

        assert state().exit_code == 4  # of a CA that this client does not know
        write(issued("server"), listed("first"))
        assert "does not admit this client" in state().stderr
        clients.write_text("[")
        assert gate.line_with(str(certificate)).endswith(f"{certificate} is read again\n")
        assert "the clients before stay" in gate.line_with("is no YAML")
        assert "does not admit this client" in state().stderr
        clients.write_text(listed("second"))
        wait_for(lambda: state().exit_code == 0, "the client to be admitted")


def test_one_client_asks_so_many_questions_at_once() -> None:
    """Those that never come whole do not keep others from asking: they end in seconds."""
    with (
        FakeTriton(ComputingTransport()) as triton,
        gate_before(triton.address) as gate,
        grpc.insecure_channel(gate.address) as channel,
    ):
        ended = threading.Event()

        def nothing() -> Iterator[bytes]:
            ended.wait(60)
            yield b""

        ask = channel.stream_stream(f"{SERVICE}ServerLive")
        pending = [ask(nothing(), timeout=60) for _ in range(9)]
        codes = Counter(each.code().name for each in pending)
        ended.set()
        assert codes == {"RESOURCE_EXHAUSTED": 1, "DEADLINE_EXCEEDED": 8}
        assert invoke("status", "--no-canary", "--server", gate.address).exit_code == 0


def test_an_answer_waits_for_its_client(tmp_path: Path) -> None:
    """It is not lost while a client is busy, and holds no place of others."""

    class Large(FakeTriton):
        def _infer(self, question: Any, context: grpc.ServicerContext) -> Any:
            answer = super()._infer(question, context)
            answer.raw_output_contents.append(bytes(20_000_000))
            return answer

    with (
        Large(ComputingTransport()) as triton,
        gate_before(triton.address, "--requests", "4") as gate,
        grpc.insecure_channel(
            gate.address, options=[("grpc.max_receive_message_length", -1)]
        ) as channel,
    ):
        ask = channel.stream_stream(f"{SERVICE}ModelInfer")
        slow = [ask(iter([MESSAGE]), timeout=60) for _ in range(4)]
        wait_for(lambda: triton.answered == 4, "all to be answered")
        assert code_of(gate.address)[0] == "RESOURCE_EXHAUSTED"
        with ThreadPoolExecutor(4) as pool:
            taken: list[bytes] = list(itertools.chain(*pool.map(list, slow)))
        assert len(taken) == 4
        assert min(map(len, taken)) > 20_000_000


def test_a_file_of_clients_that_raises_more_than_yaml_s_errors(tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    for text in ("ada: {certificate: 2024-02-30}", "[" * 5000, "ada: 0x_"):
        clients.write_text(text)
        refused = invoke("gate", "--clients", clients)
        assert refused.exit_code == 2, text
        assert f"--clients {clients}" in one_line(refused)
