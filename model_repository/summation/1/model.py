"""Triton model ``summation``: detections of N frames -> one image on the fine grid."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, kernels, serving


class TritonPythonModel:
    """N frames in, one image out."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        serving.check_configuration(json.loads(args["model_config"]), contract.SUMMATION)

    def execute(self, requests):
        """Draw and sum each request's detections."""
        return serving.respond(pb_utils, contract.SUMMATION, requests, _draw)


def _draw(detections, window):
    return kernels.draw(detections, window), np.array([len(detections)], np.int32)
