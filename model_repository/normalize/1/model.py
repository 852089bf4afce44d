"""Triton model ``normalize``: camera frames and their levels -> normalised frames."""

import json

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, kernels, serving


class TritonPythonModel:
    """One response per request; a request that does not fit gets its own error."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        serving.check_configuration(json.loads(args["model_config"]), contract.NORMALIZE)

    def execute(self, requests):
        """Normalise each request's frames."""
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        frames = pb_utils.get_input_tensor_by_name(request, contract.FRAMES.name).as_numpy()
        levels = pb_utils.get_input_tensor_by_name(request, contract.LEVELS.name).as_numpy()
        try:
            normalized = kernels.normalize(frames, levels)
        except Exception as error:  # noqa: BLE001 - a door: the server must live on
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(serving.message(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(contract.NORMALIZED.name, normalized)])
