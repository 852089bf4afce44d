"""``make memory``: the client's peak memory on films that are made as they are read.

Each film is a sparse file or comes from a few frames that repeat, so nothing large is
stored; the engine answers at once with empty sums, so what is measured is the client: reading,
cutting, sending to itself, merging and writing. Every case runs in a process of its own and
tells its peak resident memory, which must stay below ``--memory``. Sums that are due are also
written to the checkpoint, as in any run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tifffile
import typer

from smlm_bench.speed.peak_memory import peak_kib
from smlm_bench.speed.stub_server import stub_server
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.run.memory_budget import parse_bytes
from smlm_pipeline.settings import Settings, frames_per_chunk
from smlm_pipeline.submission import submit


@dataclass(frozen=True)
class Case:
    """A film by its size, and the bound that the client is given."""

    name: str
    frames: int
    edge_px: int
    memory: str
    grpc: bool = False
    """Whether requests go through gRPC to a stub server, whose copies then count too."""


@dataclass(frozen=True)
class Peak:
    """What one case took."""

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
"""A film and one 25 times as long, of 6.1 GiB; and one whose image, 1 GiB, and sum, 2 GiB, are
larger than the bound."""


class AnswersAtOnce:
    """An engine of sums of one emitter."""

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """One emitter at the first pixel of the core."""
        zoom, _, _, height, width = request.window.tolist()
        image = np.zeros(image_shape(zoom, height, width), np.int32)
        image[2 * zoom, 2 * zoom] = 1 << 16
        return ChunkAnswer(image, len(request.frames_adu))


def main(
    case: Annotated[str | None, typer.Option(help="One case alone, in this process.")] = None,
    scale: Annotated[float, typer.Option(help="Share of each film's frames to take.")] = 1.0,
    output: Annotated[Path | None, typer.Option("-o", help="JSON file to write.")] = None,
) -> None:
    """Measure, print, and write the figures as JSON if asked to."""
    if case is not None:
        chosen = next(each for each in CASES if each.name == case)
        typer.echo(json.dumps(asdict(measure(chosen, scale))))
        return
    peaks = [_apart(each, scale) for each in CASES]
    for peak in peaks:
        typer.echo(
            f"{peak.name:18s} {peak.frames:6d} frames of {peak.edge_px}: film {peak.film_gib:5.2f} "
            f"GiB, image {peak.image_gib:.2f} GiB, --memory {peak.limit_mib:.0f} MiB, peak "
            f"{peak.peak_mib:.0f} MiB, {peak.elapsed_s:.1f} s"
        )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps([asdict(peak) for peak in peaks], indent=2) + "\n")
    above = [peak.name for peak in peaks if peak.peak_mib > peak.limit_mib]
    if above:
        typer.echo(f"above their bound: {', '.join(above)}", err=True)
        raise typer.Exit(1)


def measure(case: Case, scale: float) -> Peak:
    """Run one case here; its peak is that of this process since it began."""
    frames = max(round(case.frames * scale), 2)
    limit = parse_bytes(case.memory)
    with tempfile.TemporaryDirectory() as folder:
        film = sparse_film(Path(folder) / "film.tif", frames, case.edge_px)
        settings = Settings(memory_bytes=limit)
        frames_most = frames_per_chunk(settings, case.edge_px, case.edge_px)
        with _engine(case, frames_most) as engine:
            started = time.perf_counter()
            image = Path(folder) / "image.tif"
            told = submit(film, image, engine=engine, settings=settings, pixel_size_nm=100)
            elapsed_s = time.perf_counter() - started
        image_bytes = (Path(folder) / "image.tif").stat().st_size
    film_gib = 2 * frames * case.edge_px**2 / 2**30
    if told.emitters < told.chunks / 2:
        raise RuntimeError(f"{told.emitters} emitters came back of {told.chunks} chunks")
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
    """What answers at once: here, or in a stub server that takes so many frames a request."""
    if not case.grpc:
        yield Engine(AnswersAtOnce(), "answers at once", "1")
        return
    with stub_server(frames) as address, TritonTransport(Servers.parse(address)) as transport:
        yield Engine(transport, "a server that answers at once", "1")


def sparse_film(path: Path, frames: int, edge_px: int) -> Path:
    """A BigTIFF film of zeros and, first and last, a frame of noise; it takes no room on a disk."""
    noise = np.random.default_rng(0).poisson(100, (edge_px, edge_px)).astype("<u2")
    offset_bytes, size_bytes = tifffile.imwrite(  # type: ignore[misc]  # None only if not asked for
        path,
        shape=(frames, edge_px, edge_px),
        dtype=np.uint16,
        bigtiff=True,
        photometric="minisblack",
        truncate=True,
        returnoffset=True,
    )
    with path.open("r+b") as file:
        for start in (offset_bytes, offset_bytes + size_bytes - noise.nbytes):
            file.seek(start)
            file.write(noise.tobytes())
    return path


def _apart(case: Case, scale: float) -> Peak:
    """The case in a new process, whose peak is its own."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--case", case.name, "--scale", str(scale)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Peak(**json.loads(done.stdout))


if __name__ == "__main__":
    typer.run(main)
