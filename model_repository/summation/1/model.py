"""Triton model ``summation``: detections of N frames -> one image on the fine grid."""

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract
from smlm_pipeline.serving import steps


class TritonPythonModel:
    """N frames in, one image out."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        self._step = steps.Summation(pb_utils, args, contract.SUMMATION, "draw")

    def execute(self, requests):
        """Draw and sum each request's detections."""
        return self._step.respond(requests)
