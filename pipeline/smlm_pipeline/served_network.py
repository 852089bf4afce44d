"""What the networks of the repository share on a CPU: ONNX Runtime in a Python model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from smlm_pipeline import contract, serving
from smlm_pipeline.contract import ModelSpec
from smlm_pipeline.errors import ContractError
from smlm_pipeline.network import Network


def load(args: Mapping[str, str]) -> tuple[ModelSpec, Network]:
    """The model and the network of the version that is served.

    It computes in as many threads as the configuration says.

    Parameters
    ----------
    args : mapping
        What Triton gives to ``initialize``.

    Raises
    ------
    ContractError
        If the configuration or the network was made for something else.
    """
    configuration = json.loads(args["model_config"])
    spec = contract.NETWORKS[configuration["name"]]
    serving.check_configuration(configuration, spec)
    threads = int(configuration["parameters"]["intra_op_threads"]["string_value"])
    folder = Path(args["model_repository"]) / args["model_version"]
    network = Network(folder / "model.onnx", intra_op_threads=threads)
    if (network.answer,) != spec.outputs:
        raise ContractError(
            f"the network of {spec.name!r} answers with {network.answer.name}; expected "
            f"{spec.outputs[0].name}: publish it as the other network of the repository"
        )
    return spec, network
