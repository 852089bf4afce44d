"""What GPUs, networks and clients are expected to do together, by calculation.

Constants are measured (``docs/measurements``) or assumed (``docs/gpu/expected.md``); no GPU and no
cluster has run this project. Expect the truth within a factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from smlm_bench.console import grid
from smlm_bench.gpu.expected import GPUS, frames_per_s, layers_of
from smlm_pipeline import contract
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_pipeline.run import chunking

FILM_FRAMES, FILM_PX = 100_000, 2048
"""A long film of a large camera."""

GPU_COUNTS, LINKS_GBIT = (1, 8, 64), (10, 100)

IN_BYTES_PER_PX, OUT_BYTES_PER_PX = 2.0, 282 / 524 * 2.0
"""Bytes of a request, and of its answer, for each pixel that is sent: microtubules in tiles of
512 x 512 pixels (``docs/gpu/expected.md``, bytes of a frame)."""

LINK_REACHED = 0.9
"""Share of a network's rate that gRPC reaches."""

SERVER_PX_PER_S = 12_000 * 256**2
"""What a server does beside its network, for several clients (``docs/gpu/expected.md``)."""

CLIENT_PX_PER_S = 153e6 / OUT_BYTES_PER_PX
"""What a client decodes and adds: 153 MB of answers a second, measured on a film
(docs/measurements/client.md)."""

CLIENTS_PER_GPU = 8
"""Clients for each GPU in the last rows: those of parts of a film, or of other films."""


@dataclass(frozen=True)
class Rates:
    """Pixels a second that each part of a cluster allows, of pixels that are sent."""

    gpus: float
    servers: float
    clients: float
    link: float

    @property
    def slowest(self) -> tuple[str, float]:
        """The part that decides, and its rate."""
        return min(vars(self).items(), key=lambda each: each[1])


def rates(gpu_px_per_s: float, gpus: int, clients: int, link_gbit: float) -> Rates:
    """The rates of a cluster whose clients and servers have a link each.

    Parameters
    ----------
    gpu_px_per_s : float
        Pixels a second of one network on one GPU.
    gpus, clients : int
        Numbers of servers with a GPU each, and of clients: one film has one, a part has its own.
    link_gbit : float
        Gb/s of the link of each machine, in both directions.
    """
    busiest = max(IN_BYTES_PER_PX, OUT_BYTES_PER_PX)
    per_link = LINK_REACHED * link_gbit * 1e9 / 8 / busiest
    return Rates(
        gpus=gpus * gpu_px_per_s,
        servers=gpus * SERVER_PX_PER_S,
        clients=clients * CLIENT_PX_PER_S,
        link=min(clients, gpus) * per_link,
    )


def sent_px() -> int:
    """Pixels of a frame of the film that are sent: tiles overlap."""
    chunks = chunking.plan(1, FILM_PX, FILM_PX, chunk_frames=1, tile_px=contract.TILE_SIZES_PX[-1])
    return sum(chunk.tile.y.read_size * chunk.tile.x.read_size for chunk in chunks)


def table(model_repository: Path | None = None) -> str:
    """The table of ``docs/scaling.md``, in Markdown."""
    path = network_file(find_model_repository(model_repository), contract.UNET.name)
    layers, gpu, edge_px = layers_of(onnx.load(path)), GPUS[0], contract.TILE_SIZES_PX[-1]
    rate = frames_per_s(layers, gpu, "FP16", edge_px)
    if rate is None:
        raise ValueError(f"{gpu.name} has no FP16")
    film_px = FILM_FRAMES * sent_px()
    rows = []
    for gpus in GPU_COUNTS:
        for clients in sorted({1, gpus, CLIENTS_PER_GPU * gpus}):
            for link in LINKS_GBIT:
                name, px_per_s = rates(rate * edge_px**2, gpus, clients, link).slowest
                seconds = film_px / px_per_s
                rows.append(
                    [
                        *(f"{gpus}", f"{clients}", f"{link}", name),
                        _rounded(px_per_s / sent_px()),
                        _rounded(seconds / 60),
                        _rounded(gpus * seconds / 3600),
                    ]
                )
    heads = [
        *("GPUs", "clients", "Gb/s", "saturates first"),
        *("frames/s", "minutes a film", "GPU hours a film"),
    ]
    return grid(heads, rows)


def _rounded(value: float) -> str:
    """Two digits: no more are meant."""
    return f"{float(f'{value:.2g}'):,g}"
