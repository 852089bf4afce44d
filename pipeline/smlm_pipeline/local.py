"""The engine in this process: the same kernels and network, without a server."""

from __future__ import annotations

import threading
from pathlib import Path

from smlm_pipeline import contract, kernels
from smlm_pipeline.network import Network
from smlm_pipeline.transport import PartialSum, Request


class LocalTransport:
    """Sums chunks through ONNX Runtime here.

    One chunk at a time is in the network, which uses all threads; others are
    prepared and drawn meanwhile.

    Parameters
    ----------
    network_file : Path
        ``model.onnx`` of the model repository.
    intra_op_threads : int
        Threads of ONNX Runtime; 0 takes every CPU.
    """

    def __init__(self, network_file: Path, *, intra_op_threads: int = 0) -> None:
        self.network = Network(network_file, intra_op_threads=intra_op_threads)
        self._running = threading.Lock()

    def sum_chunk(self, request: Request) -> PartialSum:
        """Normalise one chunk, run the network and sum what it finds."""
        normalized = kernels.normalize(request.frames_adu, request.mean_adu, request.levels_adu)
        with self._running:
            found = self.network.detect(normalized)
        summed = kernels.sum_map if self.network.answer == contract.MAP else kernels.draw
        image = summed(found, request.window)
        return PartialSum(image, len(request.frames_adu))
