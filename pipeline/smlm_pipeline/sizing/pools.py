"""How much memory a server has to set aside: from tile, frames, zoom and requests in flight.

Triton hands tensors between the steps of an ensemble in three places, whose sizes
are fixed when it starts:

- the CUDA pool, for tensors on the GPU. When it is full, tensors fall back to the
  host, and the Python backend has then been seen to hand on wrong data as success
  (triton-inference-server/server #8177, #7148), so it must never be full;
- the pinned pool, for what ``normalize`` gives where that is on the host;
- shared memory, for tensors between Triton and the process of each Python model,
  one region a model. A region grows by itself, and never shrinks; what a container
  gives to ``/dev/shm`` limits it.

The embedded server does not take these sizes. Its regions are really allocated, for
every model, asked or not, and larger ones made no request faster, while they grow
well enough from nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from smlm_pipeline import contract, kernels
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import Settings, frames_per_chunk

IN_FLIGHT = 32
"""Requests on a GPU at once: those that the queue of ``unet`` holds, and those in its execution,
which are at most eight of the client's chunks at the largest tile."""

HEADROOM = 1.3
"""Pools are divided as tensors come and go, so not all of one can be used."""

REGION_PARTS = 2
"""A region holds a request's tensors while those of the one before are still being read."""

_MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """Memory in bytes, each a whole number of MiB.

    ``shm_default_bytes`` and ``shm_growth_bytes`` are of the region of one Python
    model; ``shm_total_bytes`` is what ``/dev/shm`` has to hold when all have grown,
    with the networks' own regions, which a server without a GPU has.
    """

    cuda_pool_bytes: int
    pinned_pool_bytes: int
    shm_default_bytes: int
    shm_growth_bytes: int
    shm_total_bytes: int

    def flags(self, gpu_count: int) -> list[str]:
        """The server's flags; the CUDA pool is stated for each GPU by its number."""
        shared = "--backend-config=python,shm"
        return [
            *(
                f"--cuda-memory-pool-byte-size={gpu}:{self.cuda_pool_bytes}"
                for gpu in range(gpu_count)
            ),
            f"--pinned-memory-pool-byte-size={self.pinned_pool_bytes}",
            f"{shared}-default-byte-size={self.shm_default_bytes}",
            f"{shared}-growth-byte-size={self.shm_growth_bytes}",
        ]

    def as_dict(self) -> dict[str, int]:
        """Every size by its name."""
        return asdict(self)


def sizes(
    models: Sequence[str], *, tile_px: int, frames: int | None, zoom: int, in_flight: int
) -> Sizes:
    """What a server needs, if all requests may be for the same one of several ensembles.

    Parameters
    ----------
    models : sequence of str
        Some of ``contract.STEPS``, at least one.
    tile_px : int
        Edge of the largest tile, in camera pixels.
    frames : int, optional
        Most frames of a request; by default those of a client that is told nothing.
    zoom : int
        Fine pixels per camera pixel of the image; a map network has its own.
    in_flight : int
        Requests on one GPU at once.

    Returns
    -------
    Sizes
        Pools for the ensemble that needs most; shared memory for all models that are
        asked, since a region that has grown stays.

    Raises
    ------
    SettingError
        If there is no such model, or a number is out of the contract's range.
    """
    on_gpu, to_gpu, region = 0, 0, 0
    crossing: dict[str, int] = {}
    for model in models:
        tensors = _tensors_bytes(model, tile_px, frames, zoom, in_flight)
        steps = contract.STEPS[model]
        on_gpu = max(on_gpu, sum(tensors[step.outputs[0].name] for step in steps[:2]))
        to_gpu = max(to_gpu, tensors[contract.NORMALIZED.name])
        for step in steps:
            needed = sum(tensors[each.name] for each in (*step.inputs, *step.outputs))
            crossing[step.name] = max(crossing.get(step.name, 0), needed)
        region = max(region, crossing[steps[0].name], tensors[contract.IMAGE.name])
    return Sizes(
        cuda_pool_bytes=_whole(HEADROOM * in_flight * on_gpu),
        pinned_pool_bytes=_whole(HEADROOM * in_flight * to_gpu),
        shm_default_bytes=_whole(region),
        shm_growth_bytes=_whole(region),
        shm_total_bytes=sum(REGION_PARTS * _whole(max(region, each)) for each in crossing.values()),
    )


def _tensors_bytes(
    model: str, tile_px: int, frames: int | None, zoom: int, in_flight: int
) -> dict[str, int]:
    """Size of every tensor of one request to an ensemble."""
    if model not in contract.STEPS:
        raise SettingError(f"no model {model!r}; expected {' or '.join(contract.STEPS)}")
    zoom = contract.MAP_ZOOM if contract.MAP in contract.STEPS[model][1].outputs else zoom
    settings = Settings(
        model=model, tile_px=tile_px, chunk_frames=frames, zoom=zoom, in_flight=in_flight
    )
    frames = frames_per_chunk(settings, tile_px, tile_px)
    pixels = frames * tile_px**2
    fine = kernels.image_shape(zoom, tile_px, tile_px)
    return {
        contract.FRAMES.name: 2 * pixels,
        contract.LEVELS.name: 4 * 2 * frames,
        contract.FILM_MEAN.name: 4 * tile_px**2,
        contract.NORMALIZED.name: 4 * len(contract.NORMALIZED_CHANNELS) * pixels,
        contract.DETECTIONS.name: 4 * len(contract.DETECTION_CHANNELS) * pixels,
        contract.MAP.name: 4 * contract.MAP_ZOOM**2 * pixels,
        contract.WINDOW.name: 4 * contract.WINDOW.dims[0],
        contract.IMAGE.name: 4 * fine[0] * fine[1],
        contract.FRAME_COUNT.name: 4,
    }


def _whole(need_bytes: float) -> int:
    """Rounded up to whole MiB."""
    return int(-(-need_bytes // _MIB)) * _MIB
