"""Films through a gate and a server that is harmed all the time: nothing is lost, nothing grows.

``make soak`` runs it for minutes or hours; see `MINUTES_VARIABLE`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.gates import RunningGate, gate_before
from fakes.mutations import chance_of
from fakes.processes import CLIENT, PATIENCE_S, children, free_port, started
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import ReconError
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

MINUTES_VARIABLE = "RECON_SOAK_MINUTES"
MINUTES = float(os.environ.get(MINUTES_VARIABLE, "0"))

HARM_EVERY_S = 60.0
"""Pause between two faults; shorter ones get ten in all."""

GROWTH_MOST = {"memory": 30e6, "descriptors": 16, "shared memory": 0, "processes": 0}
"""By how much the most of the last third may exceed that of the first one; bytes and numbers. The
connection of a canary, or of a look of the gate, has some descriptors while it is open."""

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(not MINUTES, reason=f"{MINUTES_VARIABLE} is not set; make soak sets it"),
    pytest.mark.timeout(60 * MINUTES + 600),
]


@dataclass
class Server:
    """``recon-client serve`` and what it uses."""

    pid: int
    used: dict[str, list[float]] = field(default_factory=dict)

    def group(self) -> list[int]:
        """The server and its stubs."""
        return [each for child in children(self.pid) for each in (child, *children(child))]

    def measure(self) -> None:
        """Note what is in use now."""
        segments = list(Path("/dev/shm").glob(f"smlm_recon_{self.pid}_*"))  # noqa: S108 - only looks
        with contextlib.suppress(OSError):  # a process has ended meanwhile
            found = {
                "memory": float(sum(_resident_bytes(pid) for pid in (self.pid, *self.group()))),
                "descriptors": float(_descriptors(self.pid)),
                "shared memory": float(sum(each.stat().st_size for each in segments)),
                "processes": float(len(self.group())),
            }
            _note(self.used, found)


def _measure_gate(pid: int, used: dict[str, list[float]]) -> None:
    found = {"memory": float(_resident_bytes(pid)), "descriptors": float(_descriptors(pid))}
    _note(used, found)


def _note(used: dict[str, list[float]], found: dict[str, float]) -> None:
    for name, value in found.items():
        used.setdefault(name, []).append(value)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _kill(pids: list[int]) -> None:
    os.killpg(pids[0], signal.SIGKILL)


def _kill_stub(pids: list[int]) -> None:
    os.kill(pids[-1], signal.SIGKILL)


def _stall_stub(pids: list[int]) -> None:
    os.kill(pids[1], signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pids[1], signal.SIGCONT)


def _hang(pids: list[int]) -> None:
    os.killpg(pids[0], signal.SIGSTOP)


FAULTS: list[Callable[[list[int]], None]] = [_kill, _kill_stub, _stall_stub, _hang]


def _harm(server: Server, ended: threading.Event, counted: Counter[str]) -> None:
    """Strike again and again, where a whole server is there."""
    pause_s = min(HARM_EVERY_S, 6 * MINUTES)
    for number in itertools.count():
        if ended.wait(pause_s):
            return
        fault = chance_of(number).choice(FAULTS)
        pids = server.group()
        if len(pids) == 3:
            with contextlib.suppress(ProcessLookupError):
                fault(pids)
                counted[fault.__name__] += 1


def test_nothing_is_lost_and_nothing_grows(
    film_of_64: Path, undisturbed: NDArray[np.float32], small_repository: Path
) -> None:
    command = [*CLIENT, "serve", "--port", str(free_port()), "--restarts", "1000"]
    command += ["--model-repository", str(small_repository)]
    ended, faults, runs = threading.Event(), Counter[str](), Counter[str]()
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[-1]
        server, of_gate = Server(serving.pid), dict[str, list[float]]()
        harm = threading.Thread(target=_harm, args=(server, ended, faults))
        with _gate(address) as gate:
            harm.start()
            try:
                until_s = time.monotonic() + 60 * MINUTES
                ways = itertools.cycle((gate.address, address))
                while time.monotonic() < until_s:
                    with open_film(film_of_64) as film:
                        image = _image(film, next(ways), runs)
                    np.testing.assert_array_equal(image, undisturbed)
                    server.measure()
                    _measure_gate(gate.process.pid, of_gate)
            finally:
                ended.set()
                harm.join()
        assert gate.process.returncode == 0
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 0
    print(f"\n{dict(runs)}; faults {dict(faults)}")  # noqa: T201 - the report of make soak
    _check_growth("server", server.used)
    _check_growth("gate", of_gate)
    assert not list(Path("/dev/shm").glob(f"smlm_recon_{serving.pid}_*"))  # noqa: S108 - only looks


@contextlib.contextmanager
def _gate(server: str) -> Iterator[RunningGate]:
    """A gate whose lines are read, so that it never waits for a reader."""
    with gate_before(server) as gate:
        assert gate.process.stderr is not None
        reading = threading.Thread(target=gate.lines.extend, args=(gate.process.stderr,))
        reading.start()
        yield gate
        gate.process.terminate()
        gate.process.wait(PATIENCE_S)
        reading.join()


_PLAIN = Settings(chunk_frames=2, attempts=20, refine="off", brightness="off")
"""As the undisturbed image was made."""


def _image(film: Film, address: str, runs: Counter[str]) -> NDArray[np.float32]:
    """An image, however often its run has to be begun: a server may be away at its start."""
    for attempt in range(20):
        with contextlib.suppress(ReconError):
            with opening.server_engine(Servers.parse(address), "reconstruction") as engine:
                done = reconstruct(film, engine, _PLAIN)
            runs["images"] += 1
            runs["failures"] += done.failures
            return done.image
        runs["begun again"] += 1
        time.sleep(1 + attempt / 2)
    raise AssertionError("no server for a minute")


def _check_growth(whose: str, used: dict[str, list[float]]) -> None:
    for name, values in used.items():
        third = max(len(values) // 3, 1)
        first, last = max(values[:third]), max(values[-third:])
        print(f"{whose}, {name}: {first:,.0f} at first, {last:,.0f} at last")  # noqa: T201 - see above
        assert last <= first + GROWTH_MOST[name], f"{name} of the {whose}"
