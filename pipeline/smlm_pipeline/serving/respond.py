"""Responses to Triton's requests, and the check of a model's configuration."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.errors import (
    ChunkError,
    ContractError,
    ReconError,
    TransientServerError,
)
from smlm_pipeline.serving.pulse import Stub


def triton_backend() -> Any:
    """Import ``triton_python_backend_utils``, which exists in Triton's own processes only."""
    return importlib.import_module("triton_python_backend_utils")


def check_configuration(configuration: Mapping[str, Any], spec: contract.ModelSpec) -> None:
    """Check that a configuration was written for this contract.

    Raises
    ------
    ContractError
        If the contract's version or a tensor's name differs.
    """
    stated = configuration["parameters"].get(contract.CONTRACT_PARAMETER, {}).get("string_value")
    if stated != str(contract.CONTRACT_VERSION):
        raise ContractError(
            f"the configuration of {spec.name!r} states contract version {stated}, the installed "
            f"smlm-recon serves {contract.CONTRACT_VERSION}: take both from one release"
        )
    for side, expected in (("input", spec.inputs), ("output", spec.outputs)):
        names = [tensor["name"] for tensor in configuration[side]]
        if names != [tensor.name for tensor in expected]:
            raise ContractError(f"the {side}s of {spec.name!r} are {names}; expected {expected}")


def respond(
    backend: Any,
    spec: contract.ModelSpec,
    requests: Sequence[Any],
    compute: Callable[..., Sequence[Any]],
) -> list[Any]:
    """Answer each request; one that does not fit gets an error, and the others their response.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``.
    spec : ModelSpec
        The model that answers.
    requests : sequence of InferenceRequest
        Requests that Triton batched.
    compute : callable
        Takes the tensors of a request and returns the arrays of its response, in host memory and
        in the contract's order.

    Returns
    -------
    list of InferenceResponse
        In the order of the requests.
    """
    stub = _stub()
    stub.end_if_stalled()  # Triton may have given the request up, and take this answer for another
    answers = [_answer(backend, spec, request, compute) for request in requests]
    stub.end_if_stalled()
    return answers


@cache
def _stub() -> Stub:
    return Stub()


def message(error: Exception) -> str:
    """Return the message for the client: that of our own errors, else the kind of error alone."""
    if isinstance(error, ReconError):
        return str(error)
    return f"the model failed with {type(error).__name__}; the server's log tells more"


def _error(backend: Any, error: Exception) -> Any:
    """Triton's error: INVALID_ARGUMENT for a request that is at fault, UNAVAILABLE if it may pass.

    INTERNAL otherwise.
    """
    kinds = backend.TritonError
    kind = kinds.INTERNAL
    if isinstance(error, ChunkError):
        kind = kinds.INVALID_ARG
    elif isinstance(error, TransientServerError):
        kind = kinds.UNAVAILABLE
    return backend.TritonError(message(error), kind)


def _answer(
    backend: Any,
    spec: contract.ModelSpec,
    request: Any,
    compute: Callable[..., Sequence[Any]],
) -> Any:
    inputs = [backend.get_input_tensor_by_name(request, tensor.name) for tensor in spec.inputs]
    try:
        outputs = zip(spec.outputs, compute(*inputs), strict=True)
        tensors = [backend.Tensor(tensor.name, array) for tensor, array in outputs]
    except Exception as error:  # noqa: BLE001 - a door: the server must live on
        if not isinstance(error, ReconError):  # a fault of this package, not of the client
            backend.Logger.log_error(f"{spec.name}: {traceback.format_exc()}")
        return backend.InferenceResponse(error=_error(backend, error))
    return backend.InferenceResponse(tensors)
