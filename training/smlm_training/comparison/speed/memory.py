"""Peak memory of the client, measured in a process of its own for each length of film.

``python -m smlm_training.comparison.speed.memory local FILM`` prints the peak in bytes, on Linux.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import ReconError
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_training.comparison.peak_memory import peak_kib
from smlm_training.comparison.speed.client_path import through

_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Peak:
    """Most memory that one process held, in MiB."""

    name: str
    size_px: int
    frames: int
    mib: float


def client_peak(name: str, film: Path, size_px: int, frames: int, address: str | None) -> Peak:
    """Peak of a client's process that reconstructs a film.

    Parameters
    ----------
    name : str
        What the result is called.
    film : Path
        TIFF of ``frames`` frames of ``size_px``.
    size_px, frames : int
        Of the film.
    address : str or None
        Of a server; None computes in the client itself.

    Raises
    ------
    ReconError
        If that process fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, address or "local", str(film)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ReconError(f"the process whose memory is measured failed: {reason}")
    return Peak(name, size_px, frames, int(done.stdout) / 2**20)


def _main(engine: str, film: Path) -> None:
    """Each engine loads its own packages only, as a client's does."""
    if engine == "local":
        from smlm_pipeline.local import LocalTransport

        through(film, LocalTransport(network_file(find_model_repository(), contract.UNET.name)))
    else:
        from smlm_pipeline.triton import TritonTransport

        with TritonTransport(engine) as transport:
            through(film, transport)
    sys.stdout.write(f"{peak_kib() * 1024}\n")


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
