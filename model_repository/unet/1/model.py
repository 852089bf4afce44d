"""Triton model ``unet`` on a CPU: ONNX Runtime over the ``model.onnx`` beside this file."""

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, network, serving


class TritonPythonModel:
    """One response per request; a request that does not fit gets its own error."""

    def initialize(self, args):
        """Load the network with as many threads as the configuration says."""
        configuration = json.loads(args["model_config"])
        serving.check_configuration(configuration, contract.UNET)
        threads = int(configuration["parameters"]["intra_op_threads"]["string_value"])
        folder = Path(args["model_repository"]) / args["model_version"]
        self._network = network.Network(folder / "model.onnx", intra_op_threads=threads)

    def execute(self, requests):
        """Run the network on each request's frames."""
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        tensor = pb_utils.get_input_tensor_by_name(request, contract.NORMALIZED.name)
        try:
            detections = self._network.detect(tensor.as_numpy())
        except Exception as error:  # noqa: BLE001 - a door: the server must live on
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(serving.message(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(contract.DETECTIONS.name, detections)])
