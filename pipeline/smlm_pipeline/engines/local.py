"""The engine in this process: the same arithmetic and network, without a server."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.compute.bounds import check_frames
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.window import check_image_size
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.localise.chunk import molecules


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
        """Run the network on one chunk and sum its answers."""
        frames_adu, levels_adu, asked = request.frames_adu, request.levels_adu, request.window
        kind = self.network.answer
        check_frames(frames_adu.shape, levels_adu.shape, kind)
        check_image_size(asked)
        answers = self.network.detect(frames_adu, levels_adu)
        sums = sum_answers(answers, asked.as_tensor(), request.class_borders_px, kind)
        if not asked.molecules:
            return ChunkAnswer(sums, len(frames_adu))
        return ChunkAnswer(sums, len(frames_adu), molecules(candidates(answers), asked))
