"""Triton model ``unet_map`` on a CPU: ONNX Runtime over the ``model.onnx`` beside this file."""

import triton_python_backend_utils as pb_utils

from smlm_pipeline import contract, served_network, serving


class TritonPythonModel:
    """Normalised frames in, fine maps out."""

    def initialize(self, args):
        """Load the network."""
        self._network = served_network.load(args, contract.UNET_MAP)

    def execute(self, requests):
        """Run the network on each request's frames."""
        return serving.respond(pb_utils, contract.UNET_MAP, requests, self._detect)

    def _detect(self, normalized):
        return [self._network.detect(normalized.as_numpy())]
