"""The engine in this process: the same arithmetic and network, without a server."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.engines.transport import ChunkAnswer, Request


class LocalTransport:
    """Sums chunks through OpenVINO or ONNX Runtime here.

    Chunks share the network's threads; while one is computed, others are prepared and drawn.

    Parameters
    ----------
    network : Path or Network
        ``model.onnx`` of the model repository, or a network that is open.
    precision : str, optional
        Precision of the network; see `smlm_pipeline.compute.network_choice.open_network`.
    threads : int
        Threads of the network; 0 takes every CPU.
    """

    def __init__(
        self, network: Path | Network, *, precision: str | None = None, threads: int = 0
    ) -> None:
        if isinstance(network, Path):
            network = open_network(network, precision=precision, threads=threads)
        self.network: Network = network

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Normalise one chunk, run the network and sum its answers."""
        answers = self.network.detect(normalize(request.frames_adu, request.levels_adu))
        image = sum_answers(answers, request.window, self.network.answer)
        return ChunkAnswer(image, len(request.frames_adu))
