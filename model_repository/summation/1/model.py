"""Triton model ``summation``: detections of N frames -> one image on the fine grid."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, kernels, serving


class TritonPythonModel:
    """One response per request; a request that does not fit gets its own error."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        serving.check_configuration(json.loads(args["model_config"]), contract.SUMMATION)

    def execute(self, requests):
        """Draw and sum each request's detections."""
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        detections = pb_utils.get_input_tensor_by_name(request, contract.DETECTIONS.name).as_numpy()
        window = pb_utils.get_input_tensor_by_name(request, contract.WINDOW.name).as_numpy()
        try:
            image = kernels.draw(detections, window)
        except Exception as error:  # noqa: BLE001 - a door: the server must live on
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(serving.message(error)))
        count = np.array([len(detections)], np.int32)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(contract.IMAGE.name, image),
                pb_utils.Tensor(contract.FRAME_COUNT.name, count),
            ]
        )
