"""Triton model ``normalize``: frames, their levels and the film's mean -> what networks read."""

import json

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, kernels, serving


class TritonPythonModel:
    """The gate that refuses a chunk that does not fit."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        serving.check_configuration(json.loads(args["model_config"]), contract.NORMALIZE)

    def execute(self, requests):
        """Normalise each request's frames."""
        return serving.respond(pb_utils, contract.NORMALIZE, requests, _normalize)


def _normalize(frames, levels, mean):
    return [kernels.normalize(frames, mean, levels)]
