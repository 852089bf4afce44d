"""Peak memory of the client on films that are made as they are read.

Films are sparse files, so nothing large is stored. The engine answers at once with sums in a tenth
of the SR pixels, so the client alone is measured: reading, cutting, sending, merging and writing,
the checkpoint included. Every case runs in its own process, whose peak resident memory must stay
below ``--memory``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from smlm_bench.speed.peak_memory import peak_kib
from smlm_bench.speed.stub_server import stub_server, stub_sums
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import ReconError
from smlm_pipeline.run.kept_memory import keep_freed_memory
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import BRIGHTNESS_OFF, REFINE_OFF, Settings, frames_per_chunk
from smlm_pipeline.submission.submit import submit


@dataclass(frozen=True)
class Case:
    """A film by its size, and the client's bound of memory."""

    name: str
    frames: int
    edge_px: int
    memory: str
    grpc: bool = False
    """Whether requests go through gRPC to a stub server, so that its copies count too."""


@dataclass(frozen=True)
class Peak:
    """Memory and time of one case."""

    name: str
    frames: int
    edge_px: int
    film_gib: float
    image_gib: float
    limit_mib: float
    peak_mib: float
    elapsed_s: float


CASES = (
    Case("short", 2_000, 256, "1GiB"),
    Case("6 GB", 50_000, 256, "1GiB"),
    Case("wide", 64, 2048, "1000MiB"),
    Case("wide, through gRPC", 64, 2048, "1000MiB", grpc=True),
)
"""A film, one 25 times as long, of 6.1 GiB, and one whose image, 1 GiB, and sum, 2 GiB, exceed
the bound."""


class AnswersAtOnce:
    """An engine that answers as the stub server does."""

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Sums in a tenth of the SR pixels."""
        return ChunkAnswer(stub_sums(request.window), len(request.frames_adu))


def in_words(peak: Peak) -> str:
    """One line about a case, for the terminal."""
    return (
        f"{peak.name:18s} {peak.frames:6d} frames of {peak.edge_px}: film {peak.film_gib:5.2f} "
        f"GiB, image {peak.image_gib:.2f} GiB, --memory {peak.limit_mib:.0f} MiB, peak "
        f"{peak.peak_mib:.0f} MiB, {peak.elapsed_s:.1f} s"
    )


def measure(case: Case, scale: float, in_flight: int | None) -> Peak:
    """Run one case in this process, whose peak since its start is measured.

    Parameters
    ----------
    case : Case
        The case.
    scale : float
        Share of its frames to take.
    in_flight : int or None
        Concurrent requests; None adapts their number, as the client does by default.

    Returns
    -------
    Peak
        Figures of the case.

    Raises
    ------
    ReconError
        If answers were lost, or the system does not report peak memory.
    """
    keep_freed_memory()  # as the command does
    frames = max(round(case.frames * scale), 2)
    limit = parse_bytes(case.memory)
    with tempfile.TemporaryDirectory() as folder:
        film = sparse_film(Path(folder) / "film.tif", frames, case.edge_px)
        image = Path(folder) / "image.tif"
        settings = Settings(
            refine=REFINE_OFF, brightness=BRIGHTNESS_OFF, memory_bytes=limit, in_flight=in_flight
        )
        frames_max = frames_per_chunk(settings, case.edge_px, case.edge_px)
        with _engine(case, frames_max) as engine:
            started = time.perf_counter()
            report = submit(film, image, engine=engine, settings=settings, pixel_size_nm=100)
            elapsed_s = time.perf_counter() - started
        image_bytes = image.stat().st_size
    film_gib = 2 * frames * case.edge_px**2 / 2**30
    if report.emitters < report.chunks / 2:
        raise ReconError(f"{report.emitters} emitters came back of {report.chunks} chunks")
    return Peak(
        name=case.name,
        frames=frames,
        edge_px=case.edge_px,
        film_gib=film_gib,
        image_gib=image_bytes / 2**30,
        limit_mib=limit / 2**20,
        peak_mib=peak_kib() / 2**10,
        elapsed_s=elapsed_s,
    )


@contextmanager
def _engine(case: Case, frames: int) -> Iterator[Engine]:
    """Open an engine that answers at once: in this process, or in a stub server."""
    if not case.grpc:
        yield Engine(AnswersAtOnce(), "answers at once", "1")
        return
    with stub_server(frames) as address, TritonTransport(Servers.parse(address)) as transport:
        yield Engine(transport, "a server that answers at once", "1")


def sparse_film(path: Path, frames: int, edge_px: int) -> Path:
    """Write a BigTIFF film of zeros with noise in its first and last frames, sparse on disk."""
    noise = np.random.default_rng(0).poisson(100, (edge_px, edge_px)).astype("<u2")
    offset_bytes, _ = tifffile.imwrite(  # type: ignore[misc]  # None only if not asked for
        path,
        shape=(frames, edge_px, edge_px),
        dtype=np.uint16,
        bigtiff=True,
        photometric="minisblack",
        truncate=True,
        returnoffset=True,
    )
    with path.open("r+b") as file:
        for start in (offset_bytes, offset_bytes + (frames - 1) * noise.nbytes):
            file.seek(start)
            file.write(noise.tobytes())
    return path


def measure_apart(case: Case, scale: float) -> Peak:
    """Run one case in a new process, whose peak is its own.

    Parameters
    ----------
    case : Case
        The case.
    scale : float
        Share of its frames to take.

    Returns
    -------
    Peak
        Figures of the case.

    Raises
    ------
    ReconError
        If the process fails; it has written the reason to standard error.
    """
    words = ["memory", "--case", case.name, "--scale", str(scale)]
    process = subprocess.run(
        [sys.executable, "-m", "smlm_bench", *words],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.returncode:
        raise ReconError(f"the case {case.name!r} ended with {process.returncode}; see above")
    return Peak(**json.loads(process.stdout))
