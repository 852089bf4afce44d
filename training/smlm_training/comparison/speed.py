"""``make bench``: frames a second of the bare network, the local engine and Triton, in one run.

All three take the same film on the same machine with the same threads, in turn,
several times over; what counts is the ratio of their medians, since machines are
noisy. Times are from the opened file to the image in memory, without the
server's start; writing the files is timed apart.
"""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
import tifffile
import typer
from numpy.typing import NDArray

from smlm_pipeline import contract, kernels, render
from smlm_pipeline.io.ome_tiff import write_image
from smlm_pipeline.local import LocalTransport
from smlm_pipeline.network import Network, available_cpus
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.repository import find_model_repository, network_file
from smlm_pipeline.server import EmbeddedServer
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_pipeline.transport import Transport
from smlm_pipeline.triton import TritonTransport
from smlm_training.scoring.inference import film_levels, film_mean, normalized
from smlm_training.simulation.presets import preset_film

LIMIT_BATCHES = (1, 4, 16)
"""Whole batches that the bare network is given; the fastest is the limit."""

SIMULATED_FRAMES = 32
"""Frames that are simulated; longer films repeat them."""

_ENSEMBLE = contract.RECONSTRUCTION.name
_MODELS = (*(step.name for step in contract.STEPS[_ENSEMBLE]), _ENSEMBLE)


@dataclass(frozen=True)
class Speed:
    """One contender on one size of frames."""

    name: str
    size_px: int
    frames: int
    frames_per_s: float
    slowest_per_s: float
    fastest_per_s: float
    share_of_limit: float


def main(
    size_px: Annotated[list[int], typer.Option(help="Edges of the frames.")] = [64, 256],  # noqa: B006
    megapixels: Annotated[float, typer.Option(help="Length of each film.")] = 12.0,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    output: Annotated[Path | None, typer.Option("-o", help="JSON file to write.")] = None,
) -> None:
    """Measure, print, and write the figures as JSON if asked to."""
    repository = find_model_repository()
    typer.echo(_machine())
    results: list[Speed] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(repository) as server,
        TritonTransport(server.address) as triton,
    ):
        network = network_file(repository, contract.UNET.name)
        local = LocalTransport(network)
        for size in size_px:
            frames = max(round(megapixels * 1e6 / size**2), 32)
            film = _film(Path(folder) / f"{size}.tif", frames, size)
            results += _compare(film, frames, size, local, triton, server, repeats)
            _tell_stages(film, size, network, Path(folder))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        figures = {"machine": _machine(), "results": [asdict(result) for result in results]}
        output.write_text(json.dumps(figures, indent=2) + "\n")


def _machine() -> str:
    threads = available_cpus()
    return (
        f"{threads} CPU threads ({platform.machine()}), Python {platform.python_version()}, "
        f"ONNX Runtime {onnxruntime.__version__} with {threads} threads in every contender"
    )


def _film(path: Path, frames: int, size_px: int) -> Path:
    made = preset_film(
        "microtubules", seed=5, frames=SIMULATED_FRAMES, height_px=size_px, width_px=size_px
    ).frames_adu
    repeated = np.resize(made, (frames, size_px, size_px))
    tifffile.imwrite(path, repeated, photometric="minisblack")
    return path


def _compare(
    film: Path,
    frames: int,
    size_px: int,
    local: Transport,
    triton: Transport,
    server: EmbeddedServer,
    repeats: int,
) -> list[Speed]:
    """Time all contenders in turn, ``repeats`` times over."""
    ready = normalized(tifffile.imread(film))
    network = network_file(find_model_repository(), contract.UNET.name)
    contenders: dict[str, Callable[[], object]] = {
        f"(a) bare network, batches of {batch}": _bare(network, ready, batch)
        for batch in LIMIT_BATCHES
    }
    contenders["(b) submit --engine local"] = lambda: _through(film, local)
    contenders["(c) submit through Triton"] = lambda: _through(film, triton)
    times_s: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()  # the first run warms caches and pools
    before = _spent_s(server)
    for _ in range(repeats):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            times_s[name].append(time.perf_counter() - started)
    spent = {name: (_spent_s(server)[name] - before[name]) / repeats for name in _MODELS}
    results = _results(times_s, frames, size_px)
    _tell(results, spent, frames)
    return results


def _bare(network: Path, ready: NDArray[np.float32], batch: int) -> Callable[[], object]:
    """Nothing but ONNX Runtime on frames that lie ready in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(
        str(network), options, providers=["CPUExecutionProvider"]
    )

    def work() -> None:
        for first in range(0, len(ready), batch):
            session.run(None, {contract.NORMALIZED.name: ready[first : first + batch]})

    return work


def _through(film: Path, transport: Transport) -> None:
    with open_stack(film) as stack:
        reconstruct(stack, transport, Settings())


def _results(times_s: dict[str, list[float]], frames: int, size_px: int) -> list[Speed]:
    rates = {name: [frames / seconds for seconds in all_s] for name, all_s in times_s.items()}
    medians = {name: statistics.median(each) for name, each in rates.items()}
    limit = max(rate for name, rate in medians.items() if name.startswith("(a)"))
    return [
        Speed(name, size_px, frames, medians[name], min(each), max(each), medians[name] / limit)
        for name, each in rates.items()
    ]


def _tell(results: list[Speed], spent_s: dict[str, float], frames: int) -> None:
    size_px = results[0].size_px
    typer.echo(f"\n{frames} frames of {size_px} x {size_px} pixels")
    for each in results:
        typer.echo(
            f"  {each.name:34s} {each.frames_per_s:8.1f} frames/s "
            f"({each.slowest_per_s:.1f} to {each.fastest_per_s:.1f}), "
            f"{each.share_of_limit:6.1%} of the limit"
        )
    inside = ", ".join(f"{name} {1e3 * s / frames:.3f}" for name, s in spent_s.items())
    typer.echo(f"  inside the server, ms a frame, overlapping: {inside}")


def _tell_stages(film: Path, size_px: int, network: Path, folder: Path) -> None:
    """Where the time goes in one process, one stage after the other."""
    frames_adu = tifffile.imread(film)[: contract.MAX_FRAMES_PER_CHUNK // 2]
    levels_adu = np.broadcast_to(film_levels(frames_adu), (len(frames_adu), 2))
    mean_adu = film_mean(frames_adu)
    session = Network(network, intra_op_threads=0)
    ready = kernels.normalize(frames_adu, mean_adu, levels_adu)
    detections = session.detect(ready)
    window = np.array([Settings.zoom, 0, 0, size_px, size_px], np.int32)
    image = kernels.draw(detections, window).astype(np.float32)
    stages: dict[str, Callable[[], object]] = {
        "levels": lambda: film_levels(frames_adu),
        "mean": lambda: film_mean(frames_adu),
        "normalize": lambda: kernels.normalize(frames_adu, mean_adu, levels_adu),
        "unet": lambda: session.detect(ready),
        "summation": lambda: kernels.draw(detections, window),
    }
    costs = ", ".join(
        f"{name} {_fastest_s(work) * 1e3 / len(frames_adu):.3f}" for name, work in stages.items()
    )
    typer.echo(f"  stage by stage, ms a frame (levels, mean: of the sampled frames only): {costs}")
    nm = 12.5
    image_s = _fastest_s(
        lambda: write_image(folder / "image.tif", image, sr_pixel_size_nm=nm, provenance={})
    )
    picture_s = _fastest_s(
        lambda: render.write_picture(folder / "image.png", image, sr_pixel_size_nm=nm)
    )
    typer.echo(f"  once a film: image file {image_s:.2f} s, picture {picture_s:.2f} s")


def _fastest_s(work: Callable[[], object], repeats: int = 3) -> float:
    times_s = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return min(times_s)


def _spent_s(server: EmbeddedServer) -> dict[str, float]:
    """Seconds that each model has computed, by the server's own account."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    spent = dict.fromkeys(_MODELS, 0.0)
    for line in lines:
        for name in _MODELS:
            if line.startswith(f'nv_inference_compute_infer_duration_us{{model="{name}"'):
                spent[name] += float(line.rsplit(" ", 1)[1]) / 1e6
    return spent


if __name__ == "__main__":
    typer.run(main)
