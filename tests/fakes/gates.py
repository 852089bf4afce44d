"""``recon-client gate`` before a server of a test."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import grpc  # type: ignore[import-untyped]

from fakes.infer_requests import request
from fakes.processes import CLIENT, free_port, started
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.gate.calls import SERVICE

_MESSAGE = request().SerializeToString()


@dataclass(frozen=True)
class RunningGate:
    """A gate in a process of its own.

    ``page`` is the address of its counts, ``lines`` what was read of its standard error.
    """

    process: subprocess.Popen[str]
    address: str
    page: str
    lines: list[str] = field(default_factory=list)

    def line_with(self, words: str) -> str:
        """Wait for a line of its standard error that has these words."""
        assert self.process.stderr is not None
        while True:
            line = self.process.stderr.readline()
            assert line, f"the gate ended: {self.lines}"
            self.lines.append(line)
            if words in line:
                return line


@contextlib.contextmanager
def gate_before(
    server: str, *options: str, shortened: Mapping[str, float] | None = None
) -> Iterator[RunningGate]:
    """Run a gate before a server until the end of the block.

    ``shortened`` are numbers of its modules, as ``service.TAKEN_S``, that differ in a test.
    """
    address, page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    *python, program = CLIENT
    lines = [f"{name} = {value}" for name, value in (shortened or {}).items()]
    program = "\n".join(
        ["from smlm_pipeline.gate import connections, run, service", *lines, program]
    )
    command = [*python, program, "gate", "--server", server]
    command += ["--listen", address, "--metrics", page]
    with started([*command, *options], stderr=subprocess.PIPE) as process:
        gate = RunningGate(process, address, page)
        gate.line_with(f"recon-client: gate at {address} before ")
        yield gate


class HeldEngine:
    """An engine that answers when it is let go; ``asked`` are the requests that it has."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0
        self._engine = ComputingTransport()

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self.asked += 1
        assert self.let_go.wait(60)
        return self._engine.sum_chunk(request)


def code_of(address: str, timeout_s: float = 60) -> tuple[str, str]:
    """The code and the text with which a gate ends a small request."""
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(f"{SERVICE}ModelInfer")(_MESSAGE, timeout=timeout_s)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""
