"""The embedded server: the real ``tritonserver`` of the wheel ``nvidia-pytriton``, on loopback.

It serves one machine: it listens on 127.0.0.1 only, without HTTP, with the APIs that change the
server closed. All files that it needs are linked into a temporary folder, its shared
memory has a prefix, and it runs in its own process group, so that it leaves nothing when
it stops. When its client is killed, the kernel stops the server, and the next start
removes the temporary folder. `smlm_pipeline.engines.watched` starts it again when it dies.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from pathlib import Path

from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.engines import fleet, private_repository, server_folder
from smlm_pipeline.engines.server_process import ServerProcess, require_running, undisturbed
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.tls import ServerTls
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


_NO_GPU = ("CudaDriver", "CUDA")
"""Words of lines in the log of every server without a GPU, though they are logged as errors."""


_START_RACE = "boost::interprocess::lock_exception"
"""Part of the log of a server that died while its models started, as on busy machines."""


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
    tls : ServerTls, optional
        Its certificate, and the CA of its clients; by default it has no TLS.
    private : bool
        Whether it has one client, which bounds its own requests: then its queues have no bound,
        and it waits less (`smlm_pipeline.engines.private_repository`). It is killed at the end.

    Raises
    ------
    ServerError
        If the port is taken.
    SettingError
        If the certificate does not let this process watch the server.
    """

    def __init__(
        self,
        model_repository: Path,
        *,
        grpc_port: int = 0,
        log_file: Path | None = None,
        precision: str | None = None,
        tls: ServerTls | None = None,
        private: bool = False,
    ) -> None:
        self._tls = tls
        self._watcher_tls = None if tls is None else tls.of_watcher()
        self._repository, self._precision = model_repository, precision
        self._private = private
        self._admin_key = secrets.token_hex(24)  # it is given to no one
        self._folder = server_folder.unused_folder()
        self._log_file = log_file or self._folder / "tritonserver.log"
        self._has_log, self._logged_bytes = False, 0
        self._process: ServerProcess | None = None
        if grpc_port:
            _check_free(grpc_port)
        free = [Address("127.0.0.1", port) for port in _free_ports(2)]
        self._grpc = Address("127.0.0.1", grpc_port) if grpc_port else free[0]
        self._metrics = free[1]

    def __enter__(self) -> EmbeddedServer:
        """Start the server and wait until it is ready.

        Raises
        ------
        ServerError
            If it cannot run on this machine, or does not become ready.
        """
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def servers(self) -> Servers:
        """The one server, for a connection to it."""
        return Servers((self._grpc,), self._watcher_tls)

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the gRPC endpoint."""
        return str(self._grpc)

    @property
    def metrics_url(self) -> str:
        """URL of the metrics."""
        return f"http://{self._metrics}/metrics"

    @property
    def process(self) -> ServerProcess:
        """The running server."""
        return require_running(self._process)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        return self.process.pid

    def network_engine(self, network: str) -> NetworkEngine:
        """What computes a network of this server, as the server stated it when it started."""
        return NetworkEngine.read(self._folder / f"{network}.json")

    def start(self, unwanted: threading.Event | None = None) -> None:
        """Start the server and wait until it is ready, or until it is unwanted.

        Raises
        ------
        ServerError
            If it cannot run on this machine, or does not become ready.
        """
        check_platform()
        server_folder.sweep()
        try:
            self._start_until_ready(unwanted or threading.Event())
        except OSError as error:
            self.stop()
            raise ServerError(
                f"the embedded server cannot be started, {error.filename}: {error.strerror}; "
                "make that possible, or use --engine local"
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its processes, shared memory and files.

        A server of several clients is stopped in order, which takes some seconds. That of one
        client has no more to do, and is killed. Signals to this process are ignored meanwhile: a
        second Ctrl-C must not prevent it.
        """
        with undisturbed():
            if self._process is not None and self._private:
                self._process.kill()
            elif self._process is not None:
                self._process.stop(STOP_TIMEOUT_S)
            self._process = None
            server_folder.remove(self._folder)

    def discard(self) -> None:
        """Kill a server that is broken; its orderly stop would take a long time or none."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def log_tail(self) -> str:
        """Return the last errors of the log since the last start."""
        try:
            return self._quoted(errors_only=True) or "its log has no error since its last start"
        except OSError:
            return "its log cannot be read"

    def _said(self) -> str:
        """The last errors of a start, which explain more than its last lines; else these."""
        try:
            return (
                self._quoted(errors_only=True)
                or self._quoted(errors_only=False)
                or "it wrote no log"
            )
        except OSError:
            return "its log cannot be read"

    def _quoted(self, *, errors_only: bool) -> str:
        with self._log_file.open("rb") as log:
            log.seek(self._logged_bytes)
            text = log.read().decode(errors="replace")
        lines = [line for line in text.splitlines() if not any(word in line for word in _NO_GPU)]
        if errors_only:
            lines = [line for line in lines if line.startswith("E") or "error" in line.lower()]
        return "\n".join(lines[-5:])

    def _start_until_ready(self, unwanted: threading.Event) -> None:
        """Start, and start again a few times if the server dies of ``_START_RACE``."""
        for starts_left in reversed(range(STARTS_MOST)):
            self._process = self._started()
            try:
                self._wait_until_ready(self._process, unwanted)
            except ServerError:
                if not (starts_left and _START_RACE in self._log_file.read_text(errors="replace")):
                    raise
                self.stop()
            else:
                return

    def _started(self) -> ServerProcess:
        wheel = wheel_folder()
        server_folder.make(self._folder)
        backends = self._folder / "backends" / "python"
        backends.mkdir(parents=True)
        for file in (wheel / "backends" / "python").iterdir():
            (backends / file.name).symlink_to(file)
        (backends / "triton_python_backend_stub").symlink_to(stub(wheel))
        # Links, because Triton cannot start its stubs on a path with a space in it.
        if self._private:
            private_repository.make(self._repository, self._folder / "models")
        else:
            (self._folder / "models").symlink_to(self._repository)
        command = [str(wheel / "bin" / "tritonserver"), *self._arguments()]
        with self._log_file.open("ab" if self._has_log else "wb") as log:
            self._has_log, self._logged_bytes = True, log.tell()
            return ServerProcess(command, self._environment(wheel), log)

    def _environment(self, wheel: Path) -> dict[str, str]:
        """The server's environment; a precision of this client's environment is not its own."""
        inherited = environment(wheel)
        inherited.pop(PRECISION_VARIABLE, None)
        stated = {PRECISION_VARIABLE: self._precision} if self._precision else {}
        return {**inherited, **stated, ENGINE_RECORDS_VARIABLE: str(self._folder)}

    def _arguments(self) -> list[str]:
        endpoints = {"grpc": self._grpc, "metrics": self._metrics}
        listen = [
            f"--{name}-{key}={value}"
            for name, address in endpoints.items()
            for key, value in (("address", address.host), ("port", address.port))
        ]
        return [
            f"--model-repository={self._folder / 'models'}",
            f"--model-config-name={private_repository.CONFIGURATION}",
            f"--backend-directory={self._folder / 'backends'}",
            "--disable-auto-complete-config",
            *listen,
            *_tls_arguments(self._tls),
            "--allow-http=false",
            "--allow-gpu-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={self._folder.name}",
            f"--grpc-restricted-protocol={RESTRICTED}:admin-key={self._admin_key}",
            "--exit-timeout-secs=15",
        ]

    def _wait_until_ready(self, process: ServerProcess, unwanted: threading.Event) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if unwanted.is_set():
                raise ServerError("the embedded server is no longer wanted")
            if process.status is not None:
                raise ServerError(f"the embedded server ended while starting: {self._said()}")
            if fleet.is_ready(self.servers):
                process.note_stubs()
                server_folder.close_memory(self._folder)
                return
            time.sleep(0.05)
        raise ServerError(
            f"the embedded server was not ready after {START_TIMEOUT_S:.0f} s: {self._said()}"
        )


def _tls_arguments(tls: ServerTls | None) -> list[str]:
    if tls is None:
        return []
    own = [f"--grpc-server-cert={tls.certificate}", f"--grpc-server-key={tls.key}"]
    if tls.ca is None:
        return ["--grpc-use-ssl=true", *own]
    return ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={tls.ca}", *own]


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
