"""A strict ``triton_python_backend_utils``: what Triton's stub injects, refusing misuse.

The signatures are those of python_backend; what the real one would let through, or find only
on its way back to the server, raises here at once. There is nothing in it that the models
of this project do not need, so a misspelt call is an AttributeError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

_CPU = 1
"""The host in DLPack's list of devices."""

_DTYPES = {"uint8", "uint16", "uint32", "int32", "int64", "float16", "float32", "float64"}


class Tensor:
    """A named array in host memory or, by `from_dlpack`, in a GPU's."""

    def __init__(self, name: str, array: Array) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a tensor's name is a string, not {name!r}")
        if not isinstance(array, np.ndarray):
            raise TypeError(f"tensor {name!r} takes an ndarray, not {type(array).__name__}")
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"tensor {name!r} cannot hold {array.dtype}")
        self._name = name
        self._array: Any = np.ascontiguousarray(array).view()
        self._array.flags.writeable = False  # in the server others may read the same memory

    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor:
        """The real one takes capsules as well, and then does not wait for what fills them."""
        if not hasattr(tensor, "__dlpack_device__"):
            raise TypeError(f"tensor {name!r} takes an array with __dlpack__, not {tensor!r}")
        if tensor.__dlpack_device__()[0] == _CPU:
            return Tensor(name, np.from_dlpack(tensor))
        made = Tensor(name, np.zeros(0, np.float32))
        made._array = tensor
        return made

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Array:
        if not self.is_cpu():
            raise ValueError(f"tensor {self._name!r} is stored in GPU memory")
        array: Array = self._array
        return array

    def is_cpu(self) -> bool:
        return isinstance(self._array, np.ndarray)

    def __dlpack__(self, stream: int | None = None) -> Any:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, number = self._array.__dlpack_device__()
        return int(kind), int(number)


class Metric:
    """A counter of a family, for one set of labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        if not all(isinstance(each, str) for pair in labels.items() for each in pair):
            raise TypeError(f"labels are strings, not {labels!r}")
        self.labels = dict(labels)
        self._value = 0.0

    def increment(self, value: float) -> None:
        if value < 0:
            raise ValueError("a counter does not go down")
        self._value += value

    def value(self) -> float:
        return self._value


class MetricFamily:
    """Counters of one name; the server shows those of ``families``."""

    COUNTER = "counter"
    families: ClassVar[dict[str, MetricFamily]] = {}

    def __init__(self, *, name: str, description: str, kind: str) -> None:
        if not name or not description or kind != MetricFamily.COUNTER:
            raise ValueError(f"a counter has a name and a description: {name!r} {description!r}")
        self.metrics: list[Metric] = []
        MetricFamily.families[name] = self

    def Metric(self, *, labels: Mapping[str, str]) -> Metric:  # noqa: N802 - its name there
        self.metrics.append(Metric(labels))
        return self.metrics[-1]


class Logger:
    """The server's log; what was written is kept in ``errors``."""

    errors: ClassVar[list[str]] = []

    @staticmethod
    def log_error(message: str) -> None:
        if not isinstance(message, str) or not message:
            raise TypeError(f"what is logged is a string, not {message!r}")
        Logger.errors.append(message)


class InferenceRequest:
    """The input tensors of one client's request."""

    def __init__(self, inputs: Sequence[Tensor], *, request_id: str = "") -> None:
        _check_tensors(inputs)
        self._inputs = list(inputs)
        self._id = request_id

    def inputs(self) -> list[Tensor]:
        return list(self._inputs)

    def request_id(self) -> str:
        return self._id


class TritonError:
    """What a client gets to read in place of tensors."""

    INTERNAL, INVALID_ARG, UNAVAILABLE = "INTERNAL", "INVALID_ARG", "UNAVAILABLE"

    def __init__(self, message: str, code: str) -> None:
        if not isinstance(message, str) or not message:
            raise TypeError(f"an error's message is a string, not {message!r}")
        if code not in (TritonError.INTERNAL, TritonError.INVALID_ARG, TritonError.UNAVAILABLE):
            raise ValueError(f"an error's code is one of TritonError, not {code!r}")
        self._message, self._code = message, code

    def code(self) -> str:
        return self._code

    def message(self) -> str:
        return self._message


class InferenceResponse:
    """Output tensors or an error, never both."""

    def __init__(
        self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None
    ) -> None:
        if error is not None and not isinstance(error, TritonError):
            raise TypeError(f"an error is a TritonError, not {type(error).__name__}")
        if bool(output_tensors) is (error is not None):
            raise ValueError("a response has either tensors or an error")
        _check_tensors(output_tensors)
        self._output_tensors = list(output_tensors)
        self._error = error

    def output_tensors(self) -> list[Tensor]:
        return list(self._output_tensors)

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor:
    """The real one gives None for a name that is not there; the stub then dies on it."""
    if not isinstance(inference_request, InferenceRequest):
        raise TypeError(f"expected a request, not {type(inference_request).__name__}")
    for tensor in inference_request.inputs():
        if tensor.name() == name:
            return tensor
    names = [tensor.name() for tensor in inference_request.inputs()]
    raise LookupError(f"a request of {names} was asked for {name!r}")


def _check_tensors(tensors: Sequence[Tensor]) -> None:
    if isinstance(tensors, Tensor) or not all(isinstance(each, Tensor) for each in tensors):
        raise TypeError(f"expected a list of tensors, not {tensors!r}")
    names = [tensor.name() for tensor in tensors]
    if len(set(names)) < len(names):
        raise ValueError(f"tensor names repeat: {names}")
