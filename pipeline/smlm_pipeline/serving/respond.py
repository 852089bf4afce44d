"""What the ``model.py`` files of the repository share, beside the kernels."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError, ReconError


def check_configuration(configuration: Mapping[str, Any], spec: contract.ModelSpec) -> None:
    """Refuse to serve under a configuration that was written for another contract.

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
    *,
    write: Callable[[str, Any], Any] | None = None,
) -> list[Any]:
    """One response per request; a request that does not fit gets its own error.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``, which only exists inside the server.
    spec : ModelSpec
        The model that answers.
    requests : sequence of InferenceRequest
        What Triton put together.
    compute : callable
        Takes the tensors of a request and gives the arrays of its response, in the contract's
        order.
    write : callable, optional
        Makes a tensor of a name and an array; by default one in host memory.

    Returns
    -------
    list of InferenceResponse
        In the order of the requests.
    """
    tensor_of = write or backend.Tensor
    return [_answer(backend, spec, request, compute, tensor_of) for request in requests]


def message(error: Exception) -> str:
    """What a client gets to read: our own words, or the kind of a foreign error."""
    if isinstance(error, ReconError):
        return str(error)
    return f"the model failed with {type(error).__name__}; the server's log tells more"


def _answer(
    backend: Any,
    spec: contract.ModelSpec,
    request: Any,
    compute: Callable[..., Sequence[Any]],
    tensor_of: Callable[[str, Any], Any],
) -> Any:
    inputs = [backend.get_input_tensor_by_name(request, each.name) for each in spec.inputs]
    try:
        outputs = zip(spec.outputs, compute(*inputs), strict=True)
        tensors = [tensor_of(each.name, array) for each, array in outputs]
    except Exception as error:  # noqa: BLE001 - a door: the server must live on
        if not isinstance(error, ReconError):  # a fault of ours, which no client can explain
            backend.Logger.log_error(f"{spec.name}: {traceback.format_exc()}")
        return backend.InferenceResponse(error=backend.TritonError(message(error)))
    return backend.InferenceResponse(tensors)
