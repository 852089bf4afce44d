"""The networks on a CPU: ONNX Runtime with the ``model.onnx`` of the served version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import NETWORK_FILE
from smlm_pipeline.serving.respond import check_configuration, respond, triton_backend


class TritonPythonModel:
    """Any network of the repository; the configuration states which."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the network of the served version, with the configuration's number of threads.

        Raises
        ------
        ContractError
            If the configuration or the network was made for something else.
        """
        configuration = json.loads(args["model_config"])
        self._spec = contract.NETWORKS[configuration["name"]]
        check_configuration(configuration, self._spec)
        threads = int(configuration["parameters"]["intra_op_threads"]["string_value"])
        file = Path(args["model_repository"]) / args["model_version"] / NETWORK_FILE
        self._network = OnnxNetwork(file, intra_op_threads=threads)
        if self._network.answer != contract.ensemble_of(self._spec.name).answer:
            raise ContractError(
                f"the network of {self._spec.name!r} answers with {self._network.answer.name}; "
                f"expected {self._spec.outputs[0].name}: publish it as the other network of the "
                "repository"
            )
        self._backend = triton_backend()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Run the network on the frames of each request."""
        return respond(self._backend, self._spec, requests, self._detect)

    def _detect(self, normalized: Any) -> list[Any]:
        return [self._network.detect(normalized.as_numpy())]
