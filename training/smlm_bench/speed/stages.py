"""Where the time of a request goes besides the network: stage by stage, and by process.

All times are nanoseconds of processor time for each camera pixel of each frame. A stage is called
alone, on one request of the usual size.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smlm_bench.console import grid
from smlm_bench.speed.engines import reconstruct_film
from smlm_bench.speed.films import write_film
from smlm_bench.speed.processor_time import cpu_s, server_cpu_s
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.network import Network, byte_pairs
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.processor import available_cpus
from smlm_pipeline.compute.sparse import decode
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import server_engine
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.engines.triton.wire_format import encoded
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.settings import DEFAULTS, REFINE_OFF, Settings, frames_per_chunk

FILMS = {"sparse": "filaments-1", "dense": "filaments-9"}
"""Presets of the films: 1 and 9 molecules for each square micrometre and frame."""

_TIMES = 5
"""Runs of each stage alone, of which the one with the least processor time counts."""

_MEMORY_BYTES = 1 << 33


@dataclass(frozen=True)
class Costs:
    """Nanoseconds of a processor for each camera pixel, by stage or process."""

    network: str
    film: str
    size_px: int
    frames: int
    ns: dict[str, float]


def stage_costs(network_name: str, sizes_px: tuple[int, ...]) -> Iterator[Costs]:
    """Time each stage of one request, alone.

    Parameters
    ----------
    network_name : str
        A network of the repository that ships.
    sizes_px : tuple of int
        Edges of the frames, at most the largest tile's.

    Yields
    ------
    Costs
        Of the next size and film.
    """
    network = open_network(network_file(find_model_repository(), network_name))
    settings = Settings(model=contract.ensemble_of(network_name).name, refine=REFINE_OFF)
    with tempfile.TemporaryDirectory() as folder:
        for size_px in sizes_px:
            frames = frames_per_chunk(settings, size_px, size_px)
            for name, preset in FILMS.items():
                path = write_film(Path(folder) / "film.tif", 2 * frames, size_px, preset)
                with open_film(path) as film:
                    ns = _costs_ns(film, network, settings)
                yield Costs(network_name, name, size_px, frames, ns)


def _costs_ns(film: Film, network: Network, settings: Settings) -> dict[str, float]:
    chunk = plan_run(film, settings, _MEMORY_BYTES).chunks[0]
    conditioning = survey(film, settings).conditioning
    read_adu = film.read(chunk.first_frame, chunk.last_frame)
    frames_adu, levels_adu = conditioning.apply(read_adu, chunk.first_frame)
    request = request_of(frames_adu, chunk, levels_adu, DEFAULTS.zoom)
    window, borders_px = request.window.as_tensor(), request.class_borders_px
    tensors = byte_pairs(request.frames_adu), levels_adu, window, borders_px
    detections = network.detect(request.frames_adu, levels_adu)
    sums = sum_answers(detections, window, borders_px, network.answer)
    step, weight = encode(sums)
    answer = ChunkAnswer(sums, len(frames_adu))
    accumulator = Accumulator(film.height_px, film.width_px, zoom=DEFAULTS.zoom)
    stages: dict[str, Callable[[], object]] = {
        "read": lambda: film.read(chunk.first_frame, chunk.last_frame),
        "prepare": lambda: conditioning.apply(read_adu, chunk.first_frame),
        "cut": lambda: request_of(frames_adu, chunk, levels_adu, DEFAULTS.zoom),
        "pack": lambda: encoded(b"", tensors),
        "normalise": lambda: normalize(request.frames_adu, levels_adu),
        "draw": lambda: sum_answers(detections, window, borders_px, network.answer),
        "encode": lambda: encode(sums),
        "decode": lambda: decode(step, weight),
        "merge": lambda: accumulator.add(chunk, answer),
    }
    pixels = frames_adu.size
    costs = {name: 1e9 * _least_cpu_s(work) / pixels for name, work in stages.items()}
    detected_s = _least_cpu_s(lambda: network.detect(request.frames_adu, levels_adu))
    return costs | {"network": 1e9 * detected_s / pixels - costs["normalise"]}


def process_costs(
    network_name: str, sizes_px: tuple[int, ...], megapixels: float
) -> Iterator[Costs]:
    """Reconstruct films through Triton, and count the processor time of each process.

    Parameters
    ----------
    network_name : str
        A network of the repository that ships.
    sizes_px : tuple of int
        Edges of the frames.
    megapixels : float
        Length of each film.

    Yields
    ------
    Costs
        Of the next size and film: the client, Triton itself, the models' own processes; and
        ``elapsed``, the time from the opened film to the image, of all processors.
    """
    model = contract.ensemble_of(network_name).name
    repository = find_model_repository()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(repository, private=True) as server,
        server_engine(server.servers, model) as engine,
    ):
        for size_px in sizes_px:
            frames = max(round(megapixels * 1e6 / size_px**2), 1)
            for name, preset in FILMS.items():
                film = write_film(Path(folder) / "film.tif", frames, size_px, preset)
                reconstruct_film(film, engine, model)  # allocates memory
                before, started = _processes_s(server.pid), time.perf_counter()
                reconstruct_film(film, engine, model)
                elapsed_s = time.perf_counter() - started
                spent = {
                    process: seconds - before.get(process, 0.0)
                    for process, seconds in _processes_s(server.pid).items()
                }
                spent["elapsed"] = elapsed_s * available_cpus()
                ns = {key: 1e9 * value / (frames * size_px**2) for key, value in spent.items()}
                yield Costs(network_name, name, size_px, frames, ns)


def _processes_s(server: int) -> Mapping[str, float]:
    return {"client": cpu_s("self"), **server_cpu_s(server)}


def _least_cpu_s(work: Callable[[], object]) -> float:
    """Processor time of all threads, which other programs disturb less than the clock's."""
    times_s = []
    for _ in range(_TIMES):
        started_s = time.process_time()
        work()
        times_s.append(time.process_time() - started_s)
    return min(times_s)


def costs_markdown(costs: Sequence[Costs]) -> str:
    """A row for each network, film and size, a column for each stage or process."""
    parts = list(dict.fromkeys(part for each in costs for part in each.ns))
    rows = [
        [
            *(each.network, str(each.size_px), each.film, str(each.frames)),
            *(f"{each.ns[part]:.1f}" if part in each.ns else "-" for part in parts),
        ]
        for each in costs
    ]
    return grid(("network", "px", "film", "frames", *parts), rows)
