"""Size a GPU server's memory pools by the contract's bounds.

Triton passes tensors between the steps of an ensemble in three memories, whose sizes are fixed at
its start:

- the CUDA pool, for the networks' answers on the GPU. When it is full, answers fall back to the
  host, and ``summation`` refuses them there. The pool holds as many as can be under way, since
  every queue has a bound;
- the pinned pool, which has no size on a GPU server. Where the CUDA pool is full and a pinned pool
  is there, an answer falls back to pinned memory, and the Python backend has been seen to pass on
  wrong data as success (triton-inference-server/server #8177, #7148). Without one it falls back to
  common memory, of which that backend is aware. TensorRT then copies frames from common memory,
  which is slower;
- shared memory, for tensors between Triton and the process of each Python model, one region a
  model. A region grows by itself, and never shrinks; the container's ``/dev/shm`` limits it.

No client's option changes a size: a request of any client is within the contract's bounds, or is
refused.

The embedded server does not use these sizes. It has no GPU, and its regions grow as needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import SettingError

QUEUED, QUEUED_MAPS = 24, 8
"""Most requests that wait for a network, as in its configuration; they have no answer yet."""

EXECUTIONS = 3
"""Answers that the TensorRT backend fills at once: one is computed, one waits behind it on the
stream, and the next is formed as soon as the first has read its input (its ``tensorrt.cc`` blocks
at the end of an execution, ``instance_state.cc`` returns before the answers are there). Read in
its source, not measured on a GPU."""

SUMMATIONS_QUEUED = 8
"""Most answers that wait for a summation, as in its configuration; more are refused."""

SUMMATIONS = 2
"""Answers that a summation holds: one is summed, and the next has left the queue."""

HEADROOM = 1.3
"""Factor for fragmentation: as tensors come and go, not all of a pool can be used."""

REGION_PARTS = 2
"""Requests in a region at once: one is written while the one before is still being read."""

USUAL_SHARE = 0.25
"""Share of the largest answer with which a region begins, and by which it grows: of dense films a
fifth of the detections has a weight."""

_ENTRY_BYTES = 4
"""Bytes of an SR pixel that is not zero, in an answer to a client."""

_MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """Memory in bytes, each a whole number of MiB.

    ``shm_default_bytes`` and ``shm_growth_bytes`` are of the region of one Python model;
    ``shm_total_bytes`` is what ``/dev/shm`` has to hold when all have grown to the most that the
    contract allows, with the networks' regions of a server without a GPU.
    """

    cuda_pool_bytes: int
    shm_default_bytes: int
    shm_growth_bytes: int
    shm_total_bytes: int

    def flags(self) -> list[str]:
        """List the flags of a server with one GPU."""
        shared = "--backend-config=python,shm"
        return [
            f"--cuda-memory-pool-byte-size=0:{self.cuda_pool_bytes}",
            "--pinned-memory-pool-byte-size=0",
            f"{shared}-default-byte-size={self.shm_default_bytes}",
            f"{shared}-growth-byte-size={self.shm_growth_bytes}",
        ]

    def as_dict(self) -> dict[str, int]:
        """Convert to a dictionary for JSON."""
        return asdict(self)


def sizes(models: Sequence[str]) -> Sizes:
    """Size the memory of a server for all requests that its queues and executions hold.

    Parameters
    ----------
    models : sequence of str
        Some of ``contract.ENSEMBLES``, at least one.

    Raises
    ------
    SettingError
        If there is no such model.
    """
    unknown = [model for model in models if model not in contract.ENSEMBLES]
    if unknown or not models:
        raise SettingError(
            f"no model {', '.join(unknown) or 'is named'}; expected some of "
            f"{', '.join(contract.ENSEMBLES)}"
        )
    ensembles = {contract.ENSEMBLES[model] for model in models}
    answers = {ensemble.answer for ensemble in ensembles}
    executed = sum(EXECUTIONS * answer_bytes(ensemble.answer) for ensemble in ensembles)
    summed = sum((SUMMATIONS_QUEUED + SUMMATIONS) * answer_bytes(answer) for answer in answers)
    usual = max(_whole(USUAL_SHARE * sums_bytes(answer)) for answer in answers)
    exchanged = [
        *(_frames_bytes(ensemble.answer) + answer_bytes(ensemble.answer) for ensemble in ensembles),
        *(answer_bytes(answer) + sums_bytes(answer) for answer in answers),
    ]
    return Sizes(
        cuda_pool_bytes=_whole(HEADROOM * (executed + summed)),
        shm_default_bytes=usual,
        shm_growth_bytes=usual,
        shm_total_bytes=sum(REGION_PARTS * _whole(max(each, usual)) for each in exchanged),
    )


def queued(network: contract.ModelSpec) -> int:
    """Return the bound on a network's queue; its configuration states the same."""
    return QUEUED_MAPS if contract.ensemble_of(network.name).answer.makes_maps else QUEUED


def answer_bytes(answer: contract.Answer) -> int:
    """Return the size of a network's largest answer."""
    return 4 * answer.channels * answer.zoom**2 * answer.pixels_most


def sums_bytes(answer: contract.Answer) -> int:
    """Return the size of the largest sums that such answers give.

    Of detections each adds to one SR pixel, and may be a molecule of its own; of maps no more
    SR pixels than those of the largest tile have a sum.
    """
    if answer.makes_maps:
        edge_px = contract.TILE_SIZES_PX[-1]
        height, width = image_shape(answer.zoom, edge_px, edge_px)
        return _ENTRY_BYTES * height * width
    return (_ENTRY_BYTES + 4 * len(contract.MOLECULE_COLUMNS)) * answer.pixels_most


def _frames_bytes(answer: contract.Answer) -> int:
    """Return the size of the frames of the largest request, and of their levels."""
    levels = 4 * contract.LEVELS.dims[1] * contract.MAX_FRAMES
    return contract.FRAMES.dims[-1] * answer.pixels_most + levels


def _whole(need_bytes: float) -> int:
    """Round up to whole MiB."""
    return int(-(-need_bytes // _MIB)) * _MIB
