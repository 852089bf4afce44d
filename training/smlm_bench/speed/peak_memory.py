"""Peak memory of engines and networks, measured in processes of their own, on Linux."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tifffile

from smlm_bench.speed.engines import (
    CLIENT,
    KERAS,
    LOCAL,
    ONNX,
    PEER,
    SERVER,
    reconstruct_film,
    titled,
)
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.errors import ReconError

with imported_when_used():  # a measured process holds only the packages that it uses
    from smlm_bench.networks import loading
    from smlm_pipeline.compute import onnx_network
    from smlm_pipeline.engines import local
    from smlm_pipeline.engines.triton import transport as triton
    from smlm_pipeline.film import survey
    from smlm_training.scoring import inference


def peak_kib(pid: int | str = "self") -> int:
    """Read the peak memory of a process from ``/proc``.

    ``ru_maxrss`` would be its parent's, if that was larger.

    Parameters
    ----------
    pid : int or str
        The process, by default this one.

    Returns
    -------
    int
        In KiB.

    Raises
    ------
    ReconError
        If the system does not report it, as on anything but Linux, or the process is gone.
    """
    try:
        peak = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        peak = None
    if peak is None:
        raise ReconError("this system does not report its processes' peak memory; expected Linux")
    return int(peak.group(1))


def peak_kib_of_all(pid: int) -> int:
    """Add up the peaks of a process and of all that it started; shared pages count in each.

    Parameters
    ----------
    pid : int
        The process.

    Returns
    -------
    int
        In KiB.

    Raises
    ------
    ReconError
        As ``peak_kib``.
    """
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError as error:
        raise ReconError(f"process {pid} does not list its children: {error}") from error
    return peak_kib(pid) + sum(peak_kib_of_all(child) for child in children)


_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Peak:
    """Peak memory of one process, in MiB."""

    name: str
    size_px: int
    frames: int
    mib: float


def peak_of(name: str, film: Path, size_px: int, frames: int, opened: str) -> Peak:
    """Measure an engine or a network in a process that does nothing else.

    Parameters
    ----------
    name : str
        ``engines.LOCAL``, ``CLIENT``, or ``PEER`` in an engine.
    film : Path
        TIFF file of the film.
    size_px, frames : int
        Of the film.
    opened : str
        A network's file, or the address of a server.

    Returns
    -------
    Peak
        Peak memory of the process.

    Raises
    ------
    ReconError
        If that process fails.
    """
    process = subprocess.run(
        [sys.executable, "-m", __name__, name, str(film), opened],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ReconError(f"the process whose memory is measured failed: {reason}")
    return Peak(name, size_px, frames, int(process.stdout) / 2**20)


def server_peak(pid: int, size_px: int, frames: int) -> Peak:
    """Add up the peaks of a server's processes so far; shared pages count in each."""
    return Peak(SERVER, size_px, frames, peak_kib_of_all(pid) / 2**10)


def _work(name: str, film: Path, opened: str) -> Callable[[], object]:
    """Prepare what is measured; a name imports its own packages only, as its own program would."""
    if name in (LOCAL, CLIENT):
        return _client(name, film, opened)
    frames_adu = tifffile.imread(film)
    if name == titled(PEER, ONNX):
        network = onnx_network.OnnxNetwork(Path(opened), intra_op_threads=0)
        return lambda: network.detect(*survey.prepared(frames_adu))
    if name == titled(PEER, KERAS):
        model, ready = loading.untrained_network(PEER), inference.normalized(frames_adu)
        return lambda: model.predict_on_batch(ready.transpose(0, 2, 3, 1))
    raise ReconError(f"{name!r} has no process of its own")


def _client(name: str, film: Path, opened: str) -> Callable[[], object]:
    model = contract.RECONSTRUCTION.name
    if name == LOCAL:
        return lambda: reconstruct_film(film, local.LocalTransport(Path(opened)), model)

    def work() -> None:
        with triton.TritonTransport(Servers.parse(opened)) as transport:
            reconstruct_film(film, transport, model)

    return work


if __name__ == "__main__":  # the process whose peak is measured
    _work(sys.argv[1], Path(sys.argv[2]), sys.argv[3])()
    sys.stdout.write(f"{peak_kib() * 1024}\n")
