"""A network on a CPU: ONNX Runtime over the ``model.onnx`` beside this file.

The same text serves every network of the repository; the configuration says which it is.
"""

import triton_python_backend_utils as pb_utils

from smlm_pipeline.serving import respond, steps


class TritonPythonModel:
    """Normalised frames in, the network's answer out."""

    def initialize(self, args):
        """Load the network."""
        self._spec, self._network = steps.load(args)

    def execute(self, requests):
        """Run the network on each request's frames."""
        return respond.respond(pb_utils, self._spec, requests, self._detect)

    def _detect(self, normalized):
        return [self._network.detect(normalized.as_numpy())]
