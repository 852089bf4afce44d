"""The embedded server: the real ``tritonserver`` of the wheel ``nvidia-pytriton``, on loopback.

It serves one machine: it listens on 127.0.0.1 only, with the APIs that change the
server closed. All files that it needs are linked into a temporary folder, its shared
memory has a prefix, and it runs in its own process group, so that it leaves nothing when
it stops. When its client is killed, the kernel stops the server, and the next start
removes the temporary folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton_wheel import check_platform, environment, stub, wheel_folder
from smlm_pipeline.errors import ServerError
from smlm_pipeline.settings import ENGINE_RECORDS_VARIABLE, PRECISION_VARIABLE

START_TIMEOUT_S = 120.0
"""Longest wait for a start; 5 to 10 s are usual."""


STARTS_MOST = 4
"""Most starts of a server that dies of ``_START_RACE``."""


STOP_TIMEOUT_S = 20.0
"""Longest orderly stop; then the process group is killed."""


RESTRICTED = "shared-memory,model-repository,trace,logging"
"""Protocols that could change the server or read its memory; they are closed to clients."""


_NAME = "smlm_recon"
"""Start of the names of a server's folder and memory; its client's process id follows."""


_NO_GPU = "CudaDriverHelper has not been initialized"
"""Part of a line in the log of every server without a GPU."""


_START_RACE = "boost::interprocess::lock_exception"
"""Part of the log of a server that died while its models started, as on busy machines."""


_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's folder of it


class EmbeddedServer(contextlib.AbstractContextManager["EmbeddedServer"]):
    """A ``tritonserver`` that runs within a ``with`` block.

    Parameters
    ----------
    model_repository : Path
        The repository to serve, in its CPU configuration.
    grpc_port : int
        Port of the gRPC endpoint; 0 takes a free one.
    log_file : Path, optional
        File of the server's log; by default the log is kept until the server stops,
        and its end is quoted if the start fails.
    precision : str, optional
        Precision of its networks, one of ``settings.PRECISIONS``; by default those of their cards.
    """

    def __init__(
        self,
        model_repository: Path,
        *,
        grpc_port: int = 0,
        log_file: Path | None = None,
        precision: str | None = None,
    ) -> None:
        self._repository, self._precision = model_repository, precision
        self._token = secrets.token_hex(8)
        self._prefix = f"{_NAME}_{os.getpid()}_{self._token}"
        self._folder = _temporary_folder() / self._prefix
        self._log_file = log_file or self._folder / "tritonserver.log"
        self._process: subprocess.Popen[bytes] | None = None
        if grpc_port:
            _check_free(grpc_port)
        free = [Address("127.0.0.1", port) for port in _free_ports(3)]
        self._grpc = Address("127.0.0.1", grpc_port) if grpc_port else free[0]
        self._http, self._metrics = free[1:]

    def __enter__(self) -> EmbeddedServer:
        """Start the server and wait until it is ready.

        Raises
        ------
        ServerError
            If it cannot run on this machine, or does not become ready.
        """
        check_platform()
        _sweep()
        try:
            self._start_until_ready()
        except OSError as error:
            self.stop()
            raise ServerError(
                f"the embedded server cannot be started, {error.filename}: {error.strerror}; "
                "make that possible, or use --engine local"
            ) from error
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def servers(self) -> Servers:
        """The one server, for a connection to it."""
        return Servers((self._grpc,))

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the gRPC endpoint."""
        return str(self._grpc)

    @property
    def http_address(self) -> str:
        """``HOST:PORT`` of the HTTP endpoint."""
        return str(self._http)

    @property
    def metrics_url(self) -> str:
        """URL of the metrics."""
        return f"http://{self._metrics}/metrics"

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        if self._process is None:
            raise ServerError("the embedded server is not running; enter its context first")
        return self._process.pid

    def network_engine(self, network: str) -> NetworkEngine:
        """What computes a network of this server, as the server stated it when it started."""
        return NetworkEngine.read(self._folder / f"{network}.json")

    def wait_for_end(self) -> None:
        """Wait for as long as the server runs.

        Raises
        ------
        ServerError
            If it ends by itself.
        """
        if self._process is None:
            raise ServerError("the embedded server is not running; enter its context first")
        status = self._process.wait()
        raise ServerError(f"the server ended by itself with status {status}: {self._log_tail()}")

    def stop(self) -> None:
        """Stop the server and remove its processes, shared memory and files.

        This takes some seconds, in which signals to this process are ignored: a second
        Ctrl-C must not prevent it.
        """
        with _undisturbed():
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_TIMEOUT_S)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._process = None
            _remove(self._folder)

    def _start_until_ready(self) -> None:
        """Start, and start again a few times if the server dies of ``_START_RACE``."""
        for starts_left in reversed(range(STARTS_MOST)):
            self._start()
            try:
                self._wait_until_ready()
            except ServerError:
                if not (starts_left and _START_RACE in self._log_file.read_text(errors="replace")):
                    raise
                self.stop()
            else:
                return

    def _start(self) -> None:
        wheel = wheel_folder()
        backends = self._folder / "backends" / "python"
        backends.mkdir(parents=True, mode=0o700)
        for file in (wheel / "backends" / "python").iterdir():
            (backends / file.name).symlink_to(file)
        (backends / "triton_python_backend_stub").symlink_to(stub(wheel))
        # A link, because Triton cannot start its stubs on a path with a space in it.
        (self._folder / "models").symlink_to(self._repository)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(wheel / "bin" / "tritonserver"), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(wheel),
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )

    def _environment(self, wheel: Path) -> dict[str, str]:
        """The server's environment; a precision of this client's environment is not its own."""
        inherited = environment(wheel)
        inherited.pop(PRECISION_VARIABLE, None)
        stated = {PRECISION_VARIABLE: self._precision} if self._precision else {}
        return {**inherited, **stated, ENGINE_RECORDS_VARIABLE: str(self._folder)}

    def _arguments(self) -> list[str]:
        endpoints = {"grpc": self._grpc, "http": self._http, "metrics": self._metrics}
        listen = [
            f"--{name}-{key}={value}"
            for name, address in endpoints.items()
            for key, value in (("address", address.host), ("port", address.port))
        ]
        return [
            f"--model-repository={self._folder / 'models'}",
            "--model-config-name=cpu",
            f"--backend-directory={self._folder / 'backends'}",
            "--disable-auto-complete-config",
            *listen,
            "--allow-gpu-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={self._prefix}",
            f"--grpc-restricted-protocol={RESTRICTED}:admin-key={self._token}",
            f"--http-restricted-api={RESTRICTED}:admin-key={self._token}",
            "--exit-timeout-secs=15",
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ServerError(f"the embedded server ended while starting: {self._log_tail()}")
            if _http_ready(self._http):
                return
            time.sleep(0.05)
        raise ServerError(
            f"the embedded server was not ready after {START_TIMEOUT_S:.0f} s: {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        """Return the last errors of the log, which explain more than its last lines."""
        text = self._log_file.read_text(errors="replace")
        lines = [line for line in text.splitlines() if _NO_GPU not in line]
        errors = [line for line in lines if line.startswith("E") or "error" in line.lower()]
        return "\n".join((errors or lines)[-5:]) or "it wrote no log"


def _die_with_parent() -> Callable[[], None]:
    """Return the function that lets the child end when this process is killed."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    set_parent_death_signal = 1

    def request() -> None:
        libc.prctl(set_parent_death_signal, signal.SIGTERM)

    return request


def _http_ready(address: Address) -> bool:
    """Whether the server reports that it and all its models are ready."""
    request = f"GET /v2/health/ready HTTP/1.1\r\nHost: {address.host}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((address.host, address.port), timeout=1) as connection:
            connection.sendall(request.encode())
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _temporary_folder() -> Path:
    """Return the system's folder for temporary files, or ``/tmp`` if Triton cannot use its name."""
    folder = tempfile.gettempdir()
    return Path("/tmp" if any(map(str.isspace, folder)) else folder)  # noqa: S108 - mode 0700


def _sweep() -> None:
    """Remove the folders and shared memory of clients that were killed."""
    for folder in _temporary_folder().glob(f"{_NAME}_*_*"):
        client = folder.name.removeprefix(f"{_NAME}_").split("_")[0]
        if client.isdigit() and not Path(f"/proc/{client}").exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a server's folder and the shared memory of the same name."""
    for segment in _SHARED_MEMORY.glob(f"{folder.name}*"):
        with contextlib.suppress(OSError):
            segment.unlink()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals that end a program, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from error


def _free_ports(count: int) -> list[int]:
    """Find different ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]
