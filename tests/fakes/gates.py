"""``recon-client gate`` before a server of a test."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fakes.processes import CLIENT, free_port, started


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
    program = "\n".join(["from smlm_pipeline.gate import connections, service", *lines, program])
    command = [*python, program, "gate", "--server", server]
    command += ["--listen", address, "--metrics", page]
    with started([*command, *options], stderr=subprocess.PIPE) as process:
        gate = RunningGate(process, address, page)
        gate.line_with(f"recon-client: gate at {address} before ")
        yield gate
