"""What NVIDIA's compiler says of our networks, on a machine without a GPU.

This is TensorRT-RTX from PyPI: the same parser, network definition and builder
interface as TensorRT's, which is neither on PyPI whole nor builds without a GPU. It is
a gate and not the server's engine: Triton cannot load what it builds, its kernels are
others, and so is, somewhat, the memory that it reports. What it does prove is that every
operator is understood as it stands, that every profile is accepted, that the networks
compile for a GPU of a stated kind, and roughly what memory their activations take.

The calls are those of ``smlm_pipeline.deploy.plans.tensorrt`` wherever the two are alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.places import MODEL_REPOSITORY

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")
pytest.importorskip(
    "tensorrt_rtx_libs", reason="TensorRT-RTX is not installed: pip install --group compiler"
)

import onnx
import tensorrt_rtx_bindings as rtx

from fakes import cupy
from fakes.networks import DETECTIONS, write_network
from fakes.tensorrt_names import differences
from smlm_pipeline import contract
from smlm_pipeline.deploy.plans.key import Choices, Gpu
from smlm_pipeline.deploy.plans.profiles import Profile, profiles
from smlm_pipeline.deploy.plans.tensorrt import TensorRT, complaints, configured, parsed
from smlm_pipeline.errors import PlanError
from smlm_pipeline.model_repository import HALF_FILE, network_file
from smlm_training.delivery.half_precision import halved
from smlm_training.delivery.reference import precision_of

pytestmark = pytest.mark.compiler


GPU = rtx.ComputeCapability.SM86
"""What is compiled for: A10, A40, RTX 3080 and their like."""

BYTES_PER_PIXEL_MAX = {"fp32": 768, "fp16": 512}
"""Budget for activations, for each camera pixel of the largest request of a profile: 3.2 and 2.1 GB
for the four megapixels of ``unet``. Measured: ``unet`` 705 and 320, ``unet_map`` 640 and 462,
whose answer alone is 256."""

CHOICES = Choices(workspace_bytes=1 << 36)
"""TensorRT-RTX counts activations as workspace, which TensorRT does not."""

FINE = ("unet-interpolated", "deep-storm", "fid-storm")
"""Networks for comparison whose layers work on the SR grid: they need more memory."""


class _Log(rtx.ILogger):  # type: ignore[misc]
    """Everything the compiler says."""

    def __init__(self) -> None:
        rtx.ILogger.__init__(self)
        self.lines: list[str] = []
        self.complaints: list[str] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append(msg)
        if int(severity) <= int(rtx.ILogger.Severity.WARNING):
            self.complaints.append(msg)

    def told(self) -> str:
        return "; ".join(self.complaints)


@dataclass(frozen=True)
class _Built:
    engine_bytes: int
    activation_bytes: list[int]
    complaints: list[str]
    layers: list[tuple[Any, Any]]
    """Kind of each layer and type of what it gives."""
    ends: list[Any]
    """Inputs, then outputs."""


def _built(network: bytes, asked: Sequence[Profile]) -> _Built:
    """Compile a network for ``GPU`` ahead of time."""
    log = _Log()
    builder = rtx.Builder(log)
    definition = parsed(rtx, builder, log, network, 0)
    layers = [definition.get_layer(index) for index in range(definition.num_layers)]
    kinds = [(layer.type, layer.get_output(0).dtype) for layer in layers]
    config = configured(rtx, builder, asked, CHOICES)
    assert config.num_optimization_profiles == len(asked)
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(GPU, 0)
    engine = builder.build_serialized_network(definition, config)
    assert engine is not None, log.summary()
    memory = re.findall(r"Total Activation Memory: (\d+) bytes", "\n".join(log.lines))
    ends = [definition.get_input(index) for index in range(3)]
    ends += [definition.get_output(index) for index in range(2)]
    return _Built(engine.nbytes, [int(each) for each in memory], log.complaints, kinds, ends)


def _check(network: bytes, asked: Sequence[Profile], *, on_camera_grid: bool) -> None:
    precision = precision_of(network)
    found = _built(network, asked)
    assert found.complaints == []
    types = [rtx.uint8, rtx.float32, rtx.int32, rtx.float32, rtx.int32]
    assert [end.dtype for end in found.ends] == types
    assert [end.name for end in found.ends if end.dtype == rtx.int32] == [
        *("REQUEST", "COMPUTED_REQUEST"),
    ]
    assert not [end.name for end in found.ends if end.is_shape_tensor]
    assert not [kind for kind, _ in found.layers if "PLUGIN" in kind.name]
    halves = [kind for kind, type_ in found.layers if type_ == rtx.float16]
    assert bool(halves) is (precision == "fp16")
    assert 100_000 < found.engine_bytes < 50_000_000
    assert len(found.activation_bytes) == len(asked)
    if on_camera_grid:
        for profile, needed in zip(asked, found.activation_bytes, strict=True):
            frames, height_px, width_px = profile.largest
            pixels = frames * height_px * width_px
            assert 0 < needed <= BYTES_PER_PIXEL_MAX[precision] * pixels


def _profiles(model: str) -> tuple[Profile, ...]:
    return profiles(model, largest_tile_px=contract.TILE_SIZES_PX[-1])


def _halved(network: bytes) -> bytes:
    return halved(onnx.load_from_string(network)).SerializeToString()


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_a_network_that_ships(name: str) -> None:
    network = network_file(MODEL_REPOSITORY, name).read_bytes()
    _check(network, _profiles(name), on_camera_grid=True)


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_a_network_that_ships_in_fp16(name: str) -> None:
    half = network_file(MODEL_REPOSITORY, name).with_name(HALF_FILE).read_bytes()
    assert precision_of(half) == "fp16"
    _check(half, _profiles(name), on_camera_grid=True)


@pytest.mark.training
@pytest.mark.timeout(900)
def test_every_network_that_can_be_trained(tmp_path: Path) -> None:
    """With random weights, in both precisions: what a compiler takes does not depend on them."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")
    import numpy as np

    from smlm_training.delivery.export import export
    from smlm_training.networks import NETWORKS, kind_of

    frames_adu = np.random.default_rng(1).integers(90, 300, (1, 8, 12), np.uint16)
    levels_adu = np.array([[100, 80]], np.float32)
    for name, build in NETWORKS.items():
        file = export(build(), tmp_path / f"{name}.onnx", frames_adu, levels_adu).path
        network = file.read_bytes()
        model = contract.UNET_MAP if kind_of(name).answer.makes_maps else contract.UNET
        asked = _profiles(model.name)[: 1 if name in FINE else None]
        for content in (network, _halved(network)):
            _check(content, asked, on_camera_grid=name not in FINE)


def test_an_operator_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    """So the gate can fail."""
    graph = DETECTIONS.replace(
        "DETECTIONS = Conv(NORMALIZED, weights)",
        "found = Conv(NORMALIZED, weights) DETECTIONS = Det(found)",
    )
    network = write_network(tmp_path, graph).read_bytes()
    with pytest.raises(PlanError, match="TensorRT cannot read the network: "):
        _built(network, _profiles("unet"))


def test_a_profile_upside_down_is_refused(tmp_path: Path) -> None:
    network = write_network(tmp_path).read_bytes()
    upside_down = Profile((1, 64, 64), (1, 16, 16), (1, 64, 64))
    with pytest.raises((PlanError, ValueError), match=r"profile|shape"):
        _built(network, [upside_down])


@pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")
def test_the_plan_builder_itself_speaks_to_it() -> None:
    """The very calls that build a plan on a GPU, timing cache included; and what a load says."""
    module = SimpleNamespace(**{**vars(rtx), "__version__": "11.0"})
    compiler = TensorRT(module, cupy, Gpu("none", "8.6", 1))
    network = network_file(MODEL_REPOSITORY, contract.UNET.name).read_bytes()
    compiled = compiler.compile(network, _profiles("unet")[:1], CHOICES, b"")
    assert len(compiled.plan) > 100_000
    assert compiled.timing_cache
    if not Path("/dev/nvidia0").exists():
        with pytest.raises(PlanError, match=r"TensorRT does not take the plan: .*CUDA"):
            compiler.load(compiled.plan)


def test_complaints_are_kept_to_be_quoted() -> None:
    log = complaints(rtx)
    assert log.summary() == "it gave no reason"
    for severity, line in (("INFO", "by the way"), ("WARNING", "mind"), ("ERROR", "failed")):
        log.log(getattr(rtx.ILogger.Severity, severity), line)
    assert log.summary() == "mind; failed"


def test_the_stand_in_of_the_unit_tests_has_no_more_than_the_real_one() -> None:
    assert differences(rtx) == []
