"""The networks on a CPU: OpenVINO or ONNX Runtime with ``model.onnx`` of the served version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.compute.bounds import check_frames, check_number
from smlm_pipeline.compute.network import frames_of
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import NETWORK_FILE
from smlm_pipeline.serving.respond import check_configuration, respond, triton_backend
from smlm_pipeline.settings import ENGINE_RECORDS_VARIABLE, PRECISION_VARIABLE


class TritonPythonModel:
    """Any network of the repository; the configuration states which."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the network of the served version, with the configuration's number of threads.

        The environment may name a precision, and a folder where the network's engine is stated.

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
        precision = os.environ.get(PRECISION_VARIABLE) or None
        self._network = open_network(file, precision=precision, threads=threads)
        if self._network.answer != contract.ensemble_of(self._spec.name).answer:
            raise ContractError(
                f"the network of {self._spec.name!r} answers with {self._network.answer.name}; "
                f"expected {self._spec.outputs[0].name}: publish it as the other network of the "
                "repository"
            )
        if folder := os.environ.get(ENGINE_RECORDS_VARIABLE):
            self._network.engine.write(Path(folder) / f"{self._spec.name}.json")
        self._backend = triton_backend()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Run the network on the frames of each request."""
        return respond(self._backend, self._spec, requests, self._detect)

    def _detect(self, frames: Any, levels: Any, request: Any) -> list[Any]:
        number = request.as_numpy().copy()  # first: the memory may be the next request's later
        check_number(request.name(), number)
        pairs, levels_adu = frames.as_numpy(), levels.as_numpy()
        check_frames(pairs.shape[:-1], levels_adu.shape, self._network.answer)
        return [self._network.detect(frames_of(pairs), levels_adu), number]
