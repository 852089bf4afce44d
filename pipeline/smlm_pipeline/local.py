"""The engine in this process: the same kernels and network, without a server."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline import kernels
from smlm_pipeline.network import Network
from smlm_pipeline.transport import PartialSum, Request


class LocalTransport:
    """Sums chunks through ONNX Runtime here.

    Parameters
    ----------
    network_file : Path
        ``model.onnx`` of the model repository.
    intra_op_threads : int
        Threads of ONNX Runtime; 0 takes every CPU.
    """

    def __init__(self, network_file: Path, *, intra_op_threads: int = 0) -> None:
        self._network = Network(network_file, intra_op_threads=intra_op_threads)

    def sum_chunk(self, request: Request) -> PartialSum:
        """Normalise, detect, draw and sum one chunk."""
        normalized = kernels.normalize(request.frames_adu, request.levels_adu)
        image = kernels.draw(self._network.detect(normalized), request.window)
        return PartialSum(image, len(request.frames_adu))
