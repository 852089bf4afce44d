"""Triton model ``summation_map``: the maps of N frames -> their sum."""

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract
from smlm_pipeline.serving import steps


class TritonPythonModel:
    """N frames in, one image out."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        self._step = steps.Summation(pb_utils, args, contract.SUMMATION_MAP, "sum_map")

    def execute(self, requests):
        """Sum each request's maps."""
        return self._step.respond(requests)
