"""The engine in this process: the same arithmetic and network, without a server."""

from __future__ import annotations

import threading
from pathlib import Path

from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.engines.transport import ChunkAnswer, Request


class LocalTransport:
    """Sums chunks through ONNX Runtime here.

    The network runs on one chunk at a time, with all threads; other chunks are
    prepared and drawn meanwhile.

    Parameters
    ----------
    network_file : Path
        ``model.onnx`` of the model repository.
    intra_op_threads : int
        Threads of ONNX Runtime; 0 takes every CPU.
    """

    def __init__(self, network_file: Path, *, intra_op_threads: int = 0) -> None:
        self.network = OnnxNetwork(network_file, intra_op_threads=intra_op_threads)
        self._running = threading.Lock()

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Normalise one chunk, run the network and sum its answers."""
        normalized = normalize(request.frames_adu, request.levels_adu)
        with self._running:
            answers = self.network.detect(normalized)
        image = sum_answers(answers, request.window, self.network.answer)
        return ChunkAnswer(image, len(request.frames_adu))
