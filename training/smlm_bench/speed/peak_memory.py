"""Peak memory, measured in processes of their own.

``python -m smlm_bench.speed.peak_memory NAME FILM BATCH FROM`` prints the peak of one of
``names`` in bytes, on Linux; ``FROM`` is a network's file, or the address of a server.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smlm_bench.speed.contenders import CLIENT, KERAS, LIMIT, LOCAL, PEER_KERAS, PEER_ONNX, SERVER
from smlm_pipeline.errors import ReconError


def peak_kib(pid: int | str = "self") -> int:
    """Of a process, by default this one, in KiB.

    ``ru_maxrss`` would be that of its parent, if that was larger.

    Raises
    ------
    ReconError
        Where the system does not tell, as on anything but Linux, or the process is gone.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        found = None
    if found is None:
        raise ReconError("this system does not tell its processes' peak memory; expected Linux")
    return int(found.group(1))


def peak_kib_of_all(pid: int) -> int:
    """Of a process and all that it started, added up; pages that they share count in each.

    Raises
    ------
    ReconError
        As ``peak_kib``.
    """
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError as error:
        raise ReconError(f"process {pid} does not tell what it started: {error}") from error
    return peak_kib(pid) + sum(peak_kib_of_all(child) for child in children)


_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Peak:
    """Most memory that one process held, in MiB; ``batch`` is 0 where the film is cut by it."""

    name: str
    batch: int
    size_px: int
    frames: int
    mib: float


def peak_of(name: str, film: Path, size_px: int, frames: int, opened: str, batch: int = 0) -> Peak:
    """Peak of a process that does nothing else.

    Parameters
    ----------
    name : str
        One of ``names``.
    film : Path
        TIFF of ``frames`` frames of ``size_px``.
    size_px, frames : int
        Of the film.
    opened : str
        A network's file, or the address of a server.
    batch : int
        Frames at once, for the bare networks.

    Raises
    ------
    ReconError
        If that process fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, name, str(film), str(batch), opened],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ReconError(f"the process whose memory is measured failed: {reason}")
    return Peak(name, batch, size_px, frames, int(done.stdout) / 2**20)


def server_peak(pid: int, size_px: int, frames: int) -> Peak:
    """Of a server's processes together so far; pages that they share count in each of them."""
    return Peak(SERVER, 0, size_px, frames, peak_kib_of_all(pid) / 2**10)


def _work(name: str, film: Path, batch: int, opened: str) -> Callable[[], object]:
    """What is measured; each loads its own packages only, as a program of its own would."""
    if name in (LOCAL, CLIENT):
        return _client(name, film, opened)
    import tifffile

    from smlm_bench.speed import contenders
    from smlm_training.scoring.inference import normalized

    ready = normalized(tifffile.imread(film))
    if name in (LIMIT, PEER_ONNX):
        return contenders.through_onnx(Path(opened), ready, batch)
    if name == KERAS:
        from smlm_bench.networks.files import keras_network

        return contenders.through_keras(keras_network("unet", Path(opened)), ready, batch)
    if name == PEER_KERAS:
        from smlm_training.networks import NETWORKS

        return contenders.through_keras(NETWORKS["deep-storm"](), ready, batch)
    raise ReconError(f"{name!r} has no process of its own")


def _client(name: str, film: Path, opened: str) -> Callable[[], object]:
    from smlm_bench.speed.contenders import through

    if name == LOCAL:
        from smlm_pipeline.engines.local import LocalTransport

        return lambda: through(film, LocalTransport(Path(opened)))
    from smlm_pipeline.engines.triton.addresses import Servers
    from smlm_pipeline.engines.triton.transport import TritonTransport

    def work() -> None:
        with TritonTransport(Servers.parse(opened)) as transport:
            through(film, transport)

    return work


if __name__ == "__main__":
    _work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])()
    sys.stdout.write(f"{peak_kib() * 1024}\n")
