"""Ways to a server, each in processes of this machine: the gate, and well-kept proxies."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.errors import ServerError, SettingError

START_S = 20.0
"""Longest wait until a proxy listens."""

_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    client_max_body_size 9m; client_body_buffer_size 9m; grpc_buffer_size 64k;
    keepalive_requests 100000;
    location = /inference.GRPCInferenceService/ModelInfer {{ grpc_pass grpc://servers; }}
  }}
  upstream servers {{ server {server}; keepalive 32; }}
}}
"""

_HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend gate
  bind 127.0.0.1:{port} ssl crt {folder}/both.pem alpn h2
  http-request deny unless {{ path /inference.GRPCInferenceService/ModelInfer }}
  default_backend servers
backend servers
  server one {server} proto h2
"""


@dataclass(frozen=True)
class Way:
    """A way to a server: its name, where clients connect, and the process between, if any."""

    name: str
    servers: Servers
    pid: int | None = None

    def cpu_s(self) -> float:
        """Processor time of the process between and of its children, so far."""
        if self.pid is None:
            return 0.0
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ticks = 0
        for pid in (str(self.pid), *children):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def ways(server: str, folder: Path) -> Iterator[list[Way]]:
    """Open all ways to a server that this machine has, within a ``with`` block.

    Parameters
    ----------
    server : str
        ``HOST:PORT`` of the server.
    folder : Path
        An empty folder for certificates, configurations and logs.

    Raises
    ------
    SettingError
        If there is no program ``openssl``, which makes the certificate.
    ServerError
        If a proxy does not listen.
    """
    _make_certificate(folder)
    tls = ClientTls.read(ca=folder / "certificate.pem")
    pair = ["--tls-cert", str(folder / "certificate.pem"), "--tls-key", str(folder / "key.pem")]
    client = [str(Path(sys.executable).with_name("recon-client")), "gate", "--server", server]

    def gate(options: Sequence[str]) -> Callable[[int], list[str]]:
        return lambda port: [*client, "--listen", f"127.0.0.1:{port}", *options]

    def configured(text: str, name: str, *command: str) -> Callable[[int], list[str]]:
        def write(port: int) -> list[str]:
            file = folder / f"{name}.conf"
            file.write_text(text.format(folder=folder, port=port, server=server))
            return [*command, str(file)]

        return write

    asked: list[tuple[str, ClientTls | None, Callable[[int], list[str]]]] = [
        ("gate", None, gate([])),
        ("gate, TLS", tls, gate(pair)),
    ]
    if shutil.which("nginx"):
        asked.append(("nginx, TLS", tls, configured(_NGINX, "nginx", "nginx", "-c")))
    if shutil.which("haproxy"):
        asked.append(("HAProxy, TLS", tls, configured(_HAPROXY, "haproxy", "haproxy", "-f")))
    with contextlib.ExitStack() as stack:
        found = [Way("direct", Servers.parse(server))]
        for name, by, command in asked:
            address, pid = stack.enter_context(_listening(command))
            found.append(Way(name, Servers.parse(address, by), pid))
        yield found


def _make_certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        raise SettingError("no program openssl; expected it for certificates: install it")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=bench"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [*command, "-out", str(files[0]), "-keyout", str(files[1])], check=True, capture_output=True
    )
    (folder / "both.pem").write_text("".join(file.read_text() for file in files))


@contextlib.contextmanager
def _listening(command: Callable[[int], list[str]]) -> Iterator[tuple[str, int]]:
    """Run a proxy until the end of the block; yield its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(command(port), stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise ServerError(f"{process.args!r} does not listen; expected it to start: run it alone")
