"""Triton model ``summation_map``: the maps of N frames -> their sum."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, kernels, serving


class TritonPythonModel:
    """N frames in, one image out."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        serving.check_configuration(json.loads(args["model_config"]), contract.SUMMATION_MAP)

    def execute(self, requests):
        """Sum each request's maps."""
        return serving.respond(pb_utils, contract.SUMMATION_MAP, requests, _sum)


def _sum(maps, window):
    return kernels.sum_map(maps, window), np.array([len(maps)], np.int32)
