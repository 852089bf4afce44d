"""Triton model ``normalize``: frames, their levels and the film's mean -> what networks read."""

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract
from smlm_pipeline.serving import steps


class TritonPythonModel:
    """The gate that refuses a chunk that does not fit."""

    def initialize(self, args):
        """Refuse to start under a configuration of another contract."""
        self._step = steps.Normalization(pb_utils, args, contract.NORMALIZE)

    def execute(self, requests):
        """Normalise each request's frames."""
        return self._step.respond(requests)
