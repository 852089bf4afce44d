"""A ``model.py`` of the repository, loaded by its path and called as Triton's stub calls it.

Requests and responses are checked against the model's own ``config.pbtxt``, as the server does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from fakes import triton_python_backend as backend
from fakes.places import MODEL_REPOSITORY

Array = NDArray[Any]
Tensors = dict[str, Array]

CONFIGURATIONS = {
    "unet": MODEL_REPOSITORY / "unet" / "configs" / "cpu.pbtxt",
    "summation": MODEL_REPOSITORY / "summation" / "config.pbtxt",
    "unet_fast": MODEL_REPOSITORY / "unet_fast" / "configs" / "cpu.pbtxt",
    "unet_map": MODEL_REPOSITORY / "unet_map" / "configs" / "cpu.pbtxt",
    "summation_map": MODEL_REPOSITORY / "summation_map" / "config.pbtxt",
}
"""Of the Python models, as a server without a GPU reads them."""

_serial = itertools.count()
_NUMPY_TYPES = {
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_INT32": "int32",
    "TYPE_FP32": "float32",
}


def configuration(name: str) -> dict[str, Any]:
    """That of a model of the repository, to be changed at will."""
    return read_configuration(CONFIGURATIONS[name])


def read_configuration(pbtxt: Path) -> dict[str, Any]:
    """A ``config.pbtxt`` as the dictionary that Triton hands to ``initialize``."""
    parsed = text_format.Parse(pbtxt.read_text(), model_config_pb2.ModelConfig())
    values: dict[str, Any] = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    values.setdefault("max_batch_size", 0)
    for tensor in (*values["input"], *values["output"]):
        tensor["dims"] = [int(size) for size in tensor["dims"]]  # int64 is text in JSON
    return values


class Refusal(str):
    """The message of an error; ``code`` is its code, one of ``TritonError``'s."""

    __slots__ = ("code",)
    code: str


class ServedModel:
    """One instance of a Python model, initialised; ``configuration`` stands in for its file's."""

    def __init__(
        self,
        folder: Path,
        configuration: Mapping[str, Any],
        version: str = "1",
        *,
        device: int = 0,
    ) -> None:
        self._configuration = configuration
        args = {
            "model_config": json.dumps(configuration),
            "model_name": configuration["name"],
            "model_repository": str(folder),
            "model_version": version,
            "model_instance_kind": "CPU",
            "model_instance_name": f"{configuration['name']}_0",
            "model_instance_device_id": str(device),
        }
        with _backend_installed():
            self._model = _load(folder / version / "model.py")
            self._model.initialize(args)

    def execute(self, *batch: Mapping[str, Any]) -> list[Tensors | Refusal]:
        """The tensors of each request's response, or its error."""
        for inputs in batch:
            self._check(inputs, "input")
        requests = [
            backend.InferenceRequest([_tensor(name, array) for name, array in each.items()])
            for each in batch
        ]
        responses = self._model.execute(requests)
        if not isinstance(responses, list) or len(responses) != len(requests):
            raise AssertionError(f"{len(requests)} requests, but the responses are {responses}")
        return [self._read(response) for response in responses]

    def _read(self, response: backend.InferenceResponse) -> Tensors | Refusal:
        if not isinstance(response, backend.InferenceResponse):
            raise TypeError(f"expected a response, not {response!r}")
        error = response.error()
        if error is not None:
            refusal = Refusal(error.message())
            refusal.code = error.code()
            return refusal
        tensors = {each.name(): each.as_numpy() for each in response.output_tensors()}
        self._check(tensors, "output")
        return tensors

    def _check(self, tensors: Mapping[str, Any], side: str) -> None:
        expected = {tensor["name"]: tensor for tensor in self._configuration[side]}
        if set(tensors) != set(expected):
            raise AssertionError(f"{side}s are {sorted(tensors)}; expected {sorted(expected)}")
        for name, array in tensors.items():
            stated = expected[name]
            dims = stated["dims"]
            fits = len(array.shape) == len(dims) and all(
                wanted in (-1, size) for wanted, size in zip(dims, array.shape, strict=True)
            )
            if not fits or array.dtype != np.dtype(_NUMPY_TYPES[stated["data_type"]]):
                raise AssertionError(f"{name} is {array.shape} {array.dtype}; expected {stated}")


def _tensor(name: str, array: Any) -> backend.Tensor:
    """In the memory that the array lies in."""
    if isinstance(array, np.ndarray):
        return backend.Tensor(name, array)
    return backend.Tensor.from_dlpack(name, array)


@contextlib.contextmanager
def _backend_installed() -> Iterator[None]:
    """Let the fake be importable, as the real module is in Triton's processes alone."""
    name = "triton_python_backend_utils"
    sys.modules[name] = backend
    try:
        yield
    finally:
        del sys.modules[name]


def _load(path: Path) -> Any:
    """The ``TritonPythonModel`` of a file, under a name that nothing else has."""
    name = f"{path.parents[1].name}_model_{next(_serial)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AssertionError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TritonPythonModel()
