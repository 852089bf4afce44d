"""What the ``model.py`` files of the repository share, beside the kernels."""

from __future__ import annotations

from collections.abc import Mapping
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


def message(error: Exception) -> str:
    """What a client gets to read: our own words, or the kind of a foreign error."""
    if isinstance(error, ReconError):
        return str(error)
    return f"the model failed with {type(error).__name__}; the server's log may tell more"
