"""Where the embedded server cannot run, one sentence says so and names the way round."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from smlm_pipeline.engines import server_folder, triton_wheel
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.server_folder import sweep
from smlm_pipeline.engines.watched import Watch
from smlm_pipeline.errors import ServerError, ServerLostError
from smlm_pipeline.settings import PRECISION_VARIABLE

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which all is well: Linux, a wheel with its stub, a libpython."""
    folder = tmp_path / "site-packages" / "pytriton" / "tritonserver"
    (folder / "bin").mkdir(parents=True)
    (folder / "backends" / "python").mkdir(parents=True)
    (folder / "backends" / "python" / "libtriton_python.so").touch()
    stub = folder / "python_backend_stubs" / VERSION / "triton_python_backend_stub"
    stub.parent.mkdir(parents=True)
    stub.touch()
    spec = ModuleSpec("pytriton", None, is_package=True)
    spec.submodule_search_locations = [str(folder.parent)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(triton_wheel, "_libpython_folder", lambda: tmp_path)
    return folder


def _refusal() -> str:
    with pytest.raises(ServerError, match=r"^the embedded Triton server ") as caught:
        triton_wheel.check_platform()
    return str(caught.value)


def _is_one_sentence_with_a_way_round(message: str) -> bool:
    return "--engine local" in message and "\n" not in message and ". " not in message


def test_nothing_is_said_where_all_is_well(wheel: Path) -> None:
    assert triton_wheel.check_platform() is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("system", "machine"),
    [("Windows", "AMD64"), ("Darwin", "arm64"), ("Darwin", "x86_64"), ("Linux", "aarch64")],
)
def test_another_platform(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    message = _refusal()
    assert f"runs on Linux x86-64 only, this is {system} {machine}" in message
    assert _is_one_sentence_with_a_way_round(message)


def test_the_wheel_is_missing(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    message = _refusal()
    assert "install 'smlm-recon[server]'" in message
    assert _is_one_sentence_with_a_way_round(message)


def test_a_python_that_the_server_does_not_know(wheel: Path) -> None:
    (wheel / "python_backend_stubs" / VERSION / "triton_python_backend_stub").unlink()
    message = _refusal()
    assert f"has no Python {VERSION}; use Python 3.10 to 3.12" in message
    assert _is_one_sentence_with_a_way_round(message)


def test_libpython_is_missing(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_wheel, "_libpython_folder", lambda: None)
    message = _refusal()
    assert f"needs libpython{VERSION}.so, which this Python lacks; install it" in message
    assert _is_one_sentence_with_a_way_round(message)


def test_libpython_is_looked_for_beside_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _name: str(tmp_path))
    (tmp_path / f"libpython{VERSION}.so.1.0").touch()
    assert triton_wheel._libpython_folder() == tmp_path


def test_a_platform_that_does_not_fit_leaves_nothing(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with pytest.raises(ServerError, match="this is Windows"), EmbeddedServer(tmp_path):
        pytest.fail("it started")
    assert not (tmp_path / "temporary").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="starts a shell script in a process group")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo I1122 hello; echo E1122 the repository is bad; exit 3", "E1122 the repository is b"),
        ("echo all seemed well; exit 0", "all seemed well"),
        ("exit 1", "it wrote no log"),
    ],
)
def test_a_server_that_ends_while_starting_is_quoted(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    binary = wheel / "bin" / "tritonserver"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    with (
        pytest.raises(ServerError, match=f"ended while starting: {said}"),
        EmbeddedServer(tmp_path),
    ):
        pytest.fail("it started")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.triton
@pytest.mark.parametrize("private", [False, True])
def test_a_server_of_one_client_is_not_stopped_in_order(
    small_repository: Path, *, private: bool
) -> None:
    """It has no more to do, and its user waits for the end."""
    with EmbeddedServer(small_repository, private=private) as server:
        process = server.process
    assert process.status == (-signal.SIGKILL if private else 0)


@pytest.mark.triton
def test_a_server_that_is_given_up_is_explained(small_repository: Path) -> None:
    """Not by the lines about CUDA that are in every log of a server on a CPU."""
    server = EmbeddedServer(small_repository)
    with Watch(server, [], restarts_most=0, report=lambda _: None) as watch:
        text = server._log_file.read_text()
        assert '"unable to create stream for reconstruction: CUDA' in text
        os.kill(server.pid, signal.SIGSEGV)
        with pytest.raises(ServerLostError) as lost:
            watch.wait()
    assert str(lost.value) == (
        "the server is given up without a restart, as asked: tritonserver ended with status -11; "
        "look for what ends it, or allow more restarts: its log has no error since its last start"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="starts a shell script in a process group")
def test_errors_of_the_last_start_are_quoted(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = wheel / "bin" / "tritonserver"
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    embedded = EmbeddedServer(tmp_path, log_file=tmp_path / "log")
    for error in ("the first", "the second"):
        binary.write_text(
            "#!/bin/sh\n"
            "echo 'E1 unable to create stream for reconstruction: CUDA driver version'\n"
            f"echo 'E1 {error}'\n"
        )
        binary.chmod(0o755)
        with pytest.raises(ServerError, match=f"while starting: E1 {error}$"):
            embedded.start()
        assert embedded.log_tail() == f"E1 {error}"


def test_a_log_that_cannot_be_written_is_named(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    embedded = EmbeddedServer(tmp_path, log_file=tmp_path / "no" / "server.log")
    with (
        pytest.raises(ServerError, match=r"cannot be started, .*server\.log: No such file or dir"),
        embedded,
    ):
        pytest.fail("it started")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="a program that is no program")
def test_a_server_that_is_no_program(wheel: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ServerError, match=r"cannot be started, .*tritonserver: No such file or dir"),
        EmbeddedServer(tmp_path),
    ):
        pytest.fail("it started")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} cannot be used .* --port"):
            EmbeddedServer(tmp_path, grpc_port=port)


def test_ports_are_different_and_on_the_loopback(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    addresses = {
        embedded.address,
        embedded.metrics_url.removeprefix("http://").removesuffix("/metrics"),
    }
    assert len(addresses) == 2
    assert {address.split(":")[0] for address in addresses} == {"127.0.0.1"}


def test_a_server_that_was_not_started(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    with pytest.raises(ServerError, match="is not running; enter its context first"):
        _ = embedded.pid
    embedded.stop()  # has nothing to do, and does it


def test_admin_protocols_are_closed(tmp_path: Path) -> None:
    """Which ones matters: shared memory lets a client read the server's."""
    arguments = EmbeddedServer(tmp_path)._arguments()
    flag = "--grpc-restricted-protocol="
    (value,) = (each.removeprefix(flag) for each in arguments if each.startswith(flag))
    closed, _, key = value.partition(":admin-key=")
    assert set(closed.split(",")) >= {"shared-memory", "model-repository", "trace", "logging"}
    assert len(key) >= 16
    assert not [each for each in arguments if key in each and not each.startswith(flag)]
    assert "--allow-http=false" in arguments


def test_the_server_is_told_to_be_silent_and_how_precise_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRECISION_VARIABLE, "f32")
    for precision in (None, "bf16"):
        stated = EmbeddedServer(tmp_path, precision=precision)._environment(tmp_path)
        assert stated["ORT_DISABLE_TELEMETRY"] == "1"
        assert stated.get(PRECISION_VARIABLE) == precision


def test_a_start_sweeps_up_after_killed_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of clients that no longer run go, those of running ones stay."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    gone, running = tmp_path / "smlm_recon_999999999_ab", tmp_path / f"smlm_recon_{os.getpid()}_cd"
    others = [tmp_path / name for name in ("smlm_recon_other", "smlm_recon_a_b_c")]
    elsewhere, young = (tmp_path / f"smlm_recon_99999999{end}" for end in ("8_ab", "7_ab"))
    server_folder.make(elsewhere)  # of a client on another machine, as its lock shows
    for folder in (gone, running, young, *others):
        folder.mkdir()
    (gone / "tritonserver.log").touch()
    os.utime(gone, (0, 0))
    sweep()
    left = {elsewhere.name, young.name, running.name, *(other.name for other in others)}
    assert {path.name for path in tmp_path.iterdir()} == left
    server_folder.remove(elsewhere)
    assert not elsewhere.exists()


def test_the_lock_of_a_client_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / "smlm_recon_999999999_ab"
    words = (
        "import sys; from pathlib import Path; from smlm_pipeline.engines import server_folder; "
    )
    words += "server_folder.make(Path(sys.argv[1])); print('made', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", words, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"made\n"
        sweep()
        assert folder.exists()
        client.kill()
    sweep()
    assert not folder.exists()


def _program(wheel: Path, text: str) -> Path:
    """In the place of the server; it counts its starts in a file."""
    starts = wheel / "starts"
    program = wheel / "bin" / "tritonserver"
    program.write_text(f"#!{sys.executable}\nSTARTS = {str(starts)!r}\n{text}")
    program.chmod(0o755)
    return starts


COUNTED = """
import http.server, sys
with open(STARTS, "a") as stream:
    stream.write("x")
"""

DIES_ONCE = """
if len(open(STARTS).read()) == 1:
    sys.exit("terminate called after throwing 'boost::interprocess::lock_exception'")
port = next(each for each in sys.argv if each.startswith("--grpc-port=")).partition("=")[2]

import concurrent.futures, threading
import grpc
from tritonclient.grpc import service_pb2

ready = grpc.unary_unary_rpc_method_handler(
    lambda _question, _context: service_pb2.ServerReadyResponse(ready=True),
    request_deserializer=service_pb2.ServerReadyRequest.FromString,
    response_serializer=service_pb2.ServerReadyResponse.SerializeToString,
)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
name = "inference.GRPCInferenceService"
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler(name, {"ServerReady": ready}),)
)
server.add_insecure_port("127.0.0.1:" + port)
server.start()
threading.Event().wait()
"""


def test_a_server_that_lost_a_race_with_itself_is_started_again(
    wheel: Path, tmp_path: Path
) -> None:
    starts = _program(wheel, COUNTED + DIES_ONCE)
    with EmbeddedServer(tmp_path) as embedded:
        assert embedded.pid > 0
    assert starts.read_text() == "xx"


@pytest.mark.parametrize(
    ("complaint", "expected"), [("no such model", 1), ("boost::interprocess::lock_exception", 4)]
)
def test_a_server_that_does_not_start_is_given_up(
    wheel: Path, tmp_path: Path, complaint: str, expected: int
) -> None:
    starts = _program(wheel, f"{COUNTED}sys.exit('error: {complaint}')")
    with pytest.raises(ServerError, match=complaint), EmbeddedServer(tmp_path):
        pytest.fail("it started")
    assert len(starts.read_text()) == expected
