"""The errors that this package raises on purpose.

::

    ReconError
    ├── FilmError (ValueError)           the input film cannot be used
    ├── SettingError (ValueError)         an option has an invalid value
    ├── ChunkError (ValueError)           a chunk does not fit the contract
    ├── ServerError                       no server, or it cannot be started
    │   ├── TransientServerError          worth another try
    │   │   ├── ServerFullError           its queue is full
    │   │   ├── DeadModelError            the process of one of its models died
    │   │   └── SwappedAnswerError        it answered another request
    │   ├── ServerLostError               it died again and again
    │   └── DeviceError                   its GPU is missing, or data is in other memory
    ├── ContractError                     the server serves something else
    ├── InferenceError                    the server refused or lost a chunk
    ├── PlanError                         no TensorRT plan that fits this GPU
    │   └── GpuMemoryError                it lacks free memory at the moment
    ├── CheckpointError                   the checkpoint is of another film, model or option
    └── OutputError (OSError)             the result cannot be written

A message says what was wrong, what was expected and what to do.
"""

from __future__ import annotations


class ReconError(Exception):
    """Root of the tree; ``exit_code`` is the exit code of the command line."""

    exit_code = 1


class FilmError(ReconError, ValueError):
    """The input film cannot be read or is not a film of frames."""

    exit_code = 3


class SettingError(ReconError, ValueError):
    """An option has an invalid value."""

    exit_code = 2


class ChunkError(ReconError, ValueError):
    """A chunk, its levels or its window do not fit the contract."""

    exit_code = 6


class ServerError(ReconError):
    """There is no server where one was expected, or it cannot be started."""

    exit_code = 4


class TransientServerError(ServerError):
    """The server did not answer this time; the same request may pass later."""


class ServerFullError(TransientServerError):
    """The server works, and its queue is full; the same request may pass later."""


class DeadModelError(TransientServerError):
    """The process of a model died; the same request may pass once the server was started again."""


class SwappedAnswerError(TransientServerError):
    """The server answered another request; this one may pass, at the latest after its restart."""


class ServerLostError(ServerError):
    """The server died again and again, and is not started any more."""

    exit_code = 10


class DeviceError(ServerError):
    """A server that should compute on a GPU lacks it, or its data is in other memory."""


class ContractError(ReconError):
    """The server lacks the model, or serves another version of the contract."""

    exit_code = 5


class InferenceError(ReconError):
    """The server answered a chunk with an error or with a wrong sum."""

    exit_code = 6


class PlanError(ReconError):
    """A TensorRT plan cannot be built here, or its answers differ from its network's."""

    exit_code = 8


class GpuMemoryError(PlanError):
    """The GPU lacks the memory for a plan now: a fault of the moment, not of the plan."""


class CheckpointError(ReconError):
    """The checkpoint is damaged, or of another film, model or option."""

    exit_code = 9


class OutputError(ReconError, OSError):
    """The result cannot be written."""

    exit_code = 7


def is_of_chunk(error: ReconError) -> bool:
    """Whether an error concerns some frames alone.

    Without servers, or with another network, all frames would fail; and a disk or share that
    does not answer, or a lack of memory, is no fault of the frames.
    """
    return not isinstance(error, (ServerError, ContractError)) and not isinstance(
        error.__cause__, (OSError, MemoryError)
    )
