"""Size a server's memory pools from tile, frames, zoom and requests in flight.

Triton passes tensors between the steps of an ensemble in three memories, whose sizes
are fixed at its start:

- the CUDA pool, for tensors on the GPU. When it is full, tensors fall back to the
  host, and the Python backend has then been seen to pass on wrong data as success
  (triton-inference-server/server #8177, #7148), so it must never be full;
- the pinned pool, for the output of ``normalize`` on the host;
- shared memory, for tensors between Triton and the process of each Python model,
  one region a model. A region grows by itself, and never shrinks; the container's
  ``/dev/shm`` limits it.

The sizes hold for requests up to those of a client with default options, or with the
stated frames: ``Sizes.normalized_bytes_most`` is the limit. Larger requests are not refused
yet.

The embedded server does not use these sizes. Its regions are allocated at once, for
every model, used or not; larger ones made no request faster, and regions grow by
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import Settings, frames_per_chunk

IN_FLIGHT = 32
"""Requests for one network at once: four clients' (``settings.IN_FLIGHT_MOST``)."""

QUEUED, QUEUED_MAPS = 24, 8
"""Most requests that wait for a network, as in its configuration: few for a map network, whose
executions take all that wait, one frame each at the largest tile."""

EXECUTIONS = 3
"""Batches that the TensorRT backend holds at once: one is computed, one waits behind it on the
stream, and the next is formed as soon as the first has read its input (its ``tensorrt.cc`` blocks
at the end of an execution, ``instance_state.cc`` returns before the answers are there). With a
bound on the queue Triton prepares no more. Read in its source, not measured on a GPU."""

HEADROOM = 1.3
"""Factor for fragmentation: as tensors come and go, not all of a pool can be used."""

REGION_PARTS = 2
"""Requests in a region at once: one is written while the one before is still being read."""

_MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """Memory in bytes, each but the last a whole number of MiB.

    ``shm_default_bytes`` and ``shm_growth_bytes`` are of the region of one Python
    model; ``shm_total_bytes`` is what ``/dev/shm`` has to hold when all have grown,
    with the networks' regions of a server without a GPU.
    ``normalized_bytes_most`` is the largest ``NORMALIZED`` of a request that the pools
    can hold.
    """

    cuda_pool_bytes: int
    pinned_pool_bytes: int
    shm_default_bytes: int
    shm_growth_bytes: int
    shm_total_bytes: int
    normalized_bytes_most: int

    def flags(self, gpu_count: int) -> list[str]:
        """List the server's flags; the CUDA pool is stated for each GPU by its number."""
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
        """Convert to a dictionary for JSON."""
        return asdict(self)


def sizes(
    models: Sequence[str], *, tile_px: int, frames: int | None, zoom: int, in_flight: int
) -> Sizes:
    """Size the memory of a server whose ensembles all get as many requests as they admit.

    Parameters
    ----------
    models : sequence of str
        Some of ``contract.ENSEMBLES``, at least one.
    tile_px : int
        Edge of the largest tile, in camera pixels.
    frames : int, optional
        Most frames of a request; by default those of a client with default options.
    zoom : int
        SR pixels per camera pixel of the image; a map network has its own.
    in_flight : int
        Requests for one network at once; at least as many as its queue and executions
        hold are counted, since nothing prevents so many.

    Returns
    -------
    Sizes
        Pools for all ensembles at once, since each network has its own queue; shared
        memory for all models, since regions never shrink. Where a map network is
        served beside others, ``normalized_bytes_most`` is theirs, and does not limit
        requests for maps to their smaller size.

    Raises
    ------
    SettingError
        If there is no such model, or a number is out of the contract's range.
    """
    if in_flight < 1:
        raise SettingError(f"in-flight is {in_flight}; expected a whole number from 1")
    needs = [_need(model, tile_px, frames, zoom, in_flight) for model in dict.fromkeys(models)]
    exchanged = _most([need.exchanged_bytes for need in needs])
    usual = max(need.usual_region_bytes for need in needs)
    return Sizes(
        cuda_pool_bytes=_whole(HEADROOM * sum(need.gpu_bytes for need in needs)),
        pinned_pool_bytes=_whole(
            HEADROOM * sum(need.requests * need.normalized_bytes for need in needs)
        ),
        shm_default_bytes=_whole(usual),
        shm_growth_bytes=_whole(usual),
        shm_total_bytes=sum(REGION_PARTS * _whole(max(usual, most)) for most in exchanged.values()),
        normalized_bytes_most=max(need.normalized_bytes for need in needs),
    )


def _most(sizes_bytes: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Find the largest size of each name."""
    names = {name for model in sizes_bytes for name in model}
    return {name: max(model.get(name, 0) for model in sizes_bytes) for name in names}


def queued(network: contract.ModelSpec) -> int:
    """Return the bound on a network's queue; its configuration states the same."""
    return QUEUED_MAPS if contract.ensemble_of(network.name).answer.makes_maps else QUEUED


def admitted(network: contract.ModelSpec, *, request_pixels: int, tile_px: int) -> float:
    """Return the most requests of a size that a network's queue and its executions hold.

    Of smaller requests there may be more, which need no more memory.
    """
    largest_batch = network.max_batch_size * tile_px**2 / request_pixels
    return queued(network) + EXECUTIONS * min(queued(network), largest_batch)


@dataclass(frozen=True)
class _Need:
    """The memory of one ensemble's requests: the bytes of one, and the number of requests.

    ``exchanged_bytes`` pass between Triton and each step; ``usual_region_bytes`` are enough
    for ``normalize`` and for the image.
    """

    requests: float
    normalized_bytes: int
    answer_bytes: int
    exchanged_bytes: dict[str, int]
    usual_region_bytes: int

    @property
    def gpu_bytes(self) -> float:
        """Bytes of all requests between the steps.

        Requests that wait for the network have no answer yet: as many answers may wait
        for the summation.
        """
        return self.requests * (self.normalized_bytes + self.answer_bytes)


def _need(model: str, tile_px: int, frames: int | None, zoom: int, in_flight: int) -> _Need:
    if model not in contract.ENSEMBLES:
        raise SettingError(f"no model {model!r}; expected {' or '.join(contract.ENSEMBLES)}")
    ensemble = contract.ENSEMBLES[model]
    network = ensemble.network
    zoom = ensemble.fixed_zoom or zoom
    settings = Settings(model=model, tile_px=tile_px, chunk_frames=frames, zoom=zoom)
    pixels = _request_pixels(settings)
    tensors = _tensors_bytes(pixels, tile_px, zoom)
    exchanged = {
        step.name: sum(tensors[tensor.name] for tensor in (*step.inputs, *step.outputs))
        for step in ensemble.steps
    }
    return _Need(
        max(in_flight, admitted(network, request_pixels=pixels, tile_px=tile_px)),
        tensors[contract.NORMALIZED.name],
        tensors[ensemble.answer.name],
        exchanged,
        max(exchanged[contract.NORMALIZE.name], tensors[contract.IMAGE.name]),
    )


def _request_pixels(settings: Settings) -> int:
    """Return the most camera pixels of a request, over its frames: a smaller tile may have more."""
    smaller = (edge_px for edge_px in contract.TILE_SIZES_PX if edge_px < settings.tile_px)
    edges_px = (*smaller, settings.tile_px)
    return max(frames_per_chunk(settings, edge, edge) * edge**2 for edge in edges_px)


def _tensors_bytes(pixels: int, tile_px: int, zoom: int) -> dict[str, int]:
    """Return the size of every tensor of one request."""
    image = image_shape(zoom, tile_px, tile_px)
    return {
        contract.FRAMES.name: 2 * pixels,
        contract.LEVELS.name: 4 * 2 * contract.MAX_FRAMES,
        contract.NORMALIZED.name: 4 * contract.NORMALIZED.dims[0] * pixels,
        contract.DETECTIONS.name: 4 * len(contract.DETECTION_CHANNELS) * pixels,
        contract.MAP.name: 4 * contract.MAP_ZOOM**2 * pixels,
        contract.WINDOW.name: 4 * contract.WINDOW.dims[0],
        contract.IMAGE.name: 4 * image[0] * image[1],
        contract.FRAME_COUNT.name: 4,
    }


def _whole(need_bytes: float) -> int:
    """Round up to whole MiB."""
    return int(-(-need_bytes // _MIB)) * _MIB
