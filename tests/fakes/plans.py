"""A repository with a network of one layer, and a compiler whose plans ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakes.networks import DETECTIONS, write_network
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.deploy.plans.compiler import Compiled, Executor
from smlm_pipeline.deploy.plans.key import Choices, Gpu
from smlm_pipeline.deploy.plans.profiles import Profile
from smlm_pipeline.errors import PlanError
from smlm_training.delivery.reference import make_reference


def write_repository(folder: Path, graph: str = DETECTIONS, *, model: str = "unet") -> Path:
    """One network, with its reference, as version 1; and what a repository is known by."""
    for name in ("reconstruction", model):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.pbtxt").touch()
    make_reference(write_network(folder / model / "1", graph))
    return folder


class RuntimeExecutor:
    """ONNX Runtime in the place of a plan, wrong by ``error`` where a test wants that."""

    def __init__(self, network: bytes, folder: Path, error: float) -> None:
        (folder / "executed.onnx").write_bytes(network)
        self._network = OnnxNetwork(folder / "executed.onnx", intra_op_threads=1)
        self._error = np.float32(error)
        self.activation_bytes: tuple[int, ...] = (1000, 2000, 3000, 4000)
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def run(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32], *, profile: int
    ) -> NDArray[np.float32]:
        self.asked.append((profile, frames_adu.shape))
        found = self._network.detect(frames_adu, levels_adu)
        return found + self._error if profile == 2 else found


A10 = Gpu("NVIDIA A10", "8.6", 72)


@dataclass
class RuntimeCompiler:
    """Its plan is the network with a word in front; it counts what it did."""

    folder: Path
    version: str = "10.13.3"
    gpu: Gpu = A10
    error: float = 0.0
    builds: int = 0
    loads: int = 0
    timing_caches: list[bytes] = field(default_factory=list)

    def compile(
        self,
        network: bytes,
        profiles: Sequence[Profile],
        choices: Choices,
        timing_cache: bytes,
    ) -> Compiled:
        if not profiles or choices.workspace_bytes < 1:
            raise AssertionError("a plan has profiles, and its kernels some memory")
        self.builds += 1
        self.timing_caches.append(timing_cache)
        return Compiled(self._header + network, b"learnt %d" % self.builds)

    def load(self, plan: bytes) -> Executor:
        self.loads += 1
        if not plan.startswith(self._header):
            raise PlanError("the plan is of another GPU")
        return RuntimeExecutor(plan.removeprefix(self._header), self.folder, self.error)

    @property
    def _header(self) -> bytes:
        return f"{self.version} {self.gpu}:".encode()
