"""TensorRT is called as it wants to be, as far as a strict stand-in can tell; see ``fakes``.

What only a GPU can tell is in ``test_plan_on_a_gpu.py``; what NVIDIA's own compiler tells
without one is in ``test_tensorrt_rtx.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes import cupy
from fakes import tensorrt as trt
from fakes.networks import DETECTIONS, write_network
from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import read_reference
from smlm_pipeline.deploy.plans import gate
from smlm_pipeline.deploy.plans.devices import open_tensorrt
from smlm_pipeline.deploy.plans.key import Choices, Gpu
from smlm_pipeline.deploy.plans.profiles import Profile, profiles
from smlm_pipeline.deploy.plans.tensorrt import TensorRT
from smlm_pipeline.errors import DeviceError, GpuMemoryError, PlanError
from smlm_training.delivery.reference import make_reference

PROFILES = profiles("unet", largest_tile_px=contract.TILE_SIZES_PX[-1])


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Both can be imported."""
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return monkeypatch


@pytest.fixture
def compiler(modules: pytest.MonkeyPatch) -> TensorRT:
    return open_tensorrt()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path)


def _plan(compiler: TensorRT, network: Path, choices: Choices | None = None) -> bytes:
    compiled = compiler.compile(network.read_bytes(), PROFILES, choices or Choices(), b"")
    return compiled.plan


# --- building -------------------------------------------------------------------------------


def test_the_compiler_tells_what_a_plan_is_tied_to(compiler: TensorRT) -> None:
    found = (compiler.version, compiler.gpu)
    assert found == (trt.__version__, Gpu("NVIDIA A10", "8.6", 72))


def test_profiles_and_workspace_are_asked_for(compiler: TensorRT, network: Path) -> None:
    _plan(compiler, network, Choices(workspace_bytes=123 << 20))
    config = trt.Builder.last.config
    assert config.pools == {trt.MemoryPoolType.WORKSPACE: 123 << 20}
    assert [profile.shapes for profile in config.profiles] == [
        {name: [list(shape) for shape in shapes] for name, shapes in each.shapes().items()}
        for each in PROFILES
    ]


@pytest.mark.parametrize("tf32", [False, True])
def test_rounding_of_factors_is_never_left_to_chance(
    tf32: bool, compiler: TensorRT, network: Path
) -> None:
    _plan(compiler, network, Choices(tf32=tf32))
    assert (trt.BuilderFlag.TF32 in trt.Builder.last.config.flags) is tf32


@pytest.mark.parametrize(("version", "flags"), [("10.13.3.9", 1 << 1), ("11.1.0.2", 0)])
def test_types_are_those_of_the_file_in_either_version(
    version: str, flags: int, modules: pytest.MonkeyPatch, network: Path
) -> None:
    modules.setattr(trt, "__version__", version)
    _plan(open_tensorrt(), network)
    assert trt.Builder.last.network.flags == flags


def test_what_was_learnt_is_handed_on(compiler: TensorRT, network: Path) -> None:
    content = network.read_bytes()
    first = compiler.compile(content, PROFILES, Choices(), b"")
    assert first.timing_cache == b"timings of 10.13.3.9"
    again = compiler.compile(content, PROFILES, Choices(), first.timing_cache)
    assert again == first


def test_what_another_version_learnt_is_left(compiler: TensorRT, network: Path) -> None:
    content = network.read_bytes()
    found = compiler.compile(content, PROFILES, Choices(), b"timings of 9.2")
    assert found.timing_cache == b"timings of 10.13.3.9"


def test_what_cannot_be_read_is_left(compiler: TensorRT, network: Path) -> None:
    found = compiler.compile(network.read_bytes(), PROFILES, Choices(), b"torn")
    assert found.timing_cache == b"timings of 10.13.3.9"


def test_a_build_without_timings(
    compiler: TensorRT, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt.IBuilderConfig, "create_timing_cache", lambda *_: None)
    found = compiler.compile(network.read_bytes(), PROFILES, Choices(), b"")
    assert found.timing_cache == b""
    assert compiler.load(found.plan)


def test_an_operator_that_it_does_not_know(compiler: TensorRT, tmp_path: Path) -> None:
    graph = DETECTIONS.replace(
        "DETECTIONS = Conv(NORMALIZED, weights)",
        "found = Conv(NORMALIZED, weights) DETECTIONS = Erf(found)",
    )
    network = write_network(tmp_path, graph)
    with pytest.raises(PlanError, match=r"cannot read the network: .*no importer for operator Erf"):
        _plan(compiler, network)


def test_other_tensors_are_refused(compiler: TensorRT, tmp_path: Path) -> None:
    network = write_network(tmp_path, DETECTIONS.replace("NORMALIZED", "frames"))
    with pytest.raises(PlanError, match="inputs frames and 1 outputs; expected FRAMES, LEVELS, R"):
        _plan(compiler, network)


def test_a_profile_that_it_refuses(compiler: TensorRT, network: Path) -> None:
    upside_down = Profile((1, 64, 64), (1, 16, 16), (1, 64, 64))
    with pytest.raises(PlanError, match="refuses the profile Profile"):
        compiler.compile(network.read_bytes(), [upside_down], Choices(), b"")


def test_a_build_that_fails_tells_why(compiler: TensorRT, network: Path) -> None:
    """Errors and warnings, not what it says all the time."""
    with pytest.raises(PlanError, match=r"built no plan: Could not find any implementation for"):
        _plan(compiler, network, Choices(workspace_bytes=1))


@pytest.mark.parametrize(
    "said",
    [
        "[virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (Requested size)",
        "Error Code 1: Cuda Runtime (out of memory)",
    ],
)
def test_a_build_that_lacks_memory_is_not_the_networks_fault(
    said: str, compiler: TensorRT, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT then drops kernels until none is left, and says that last."""

    def without_memory(builder: trt.Builder, *_: object) -> None:
        builder.logger.log(trt.ILogger.Severity.WARNING, said)
        for _repeat in range(4):
            builder.logger.log(trt.ILogger.Severity.ERROR, "Could not find any implementation for")

    monkeypatch.setattr(trt.Builder, "build_serialized_network", without_memory)
    with pytest.raises(GpuMemoryError, match=r"built no plan: .* of the GPU's 25.8 GB are free"):
        _plan(compiler, network)


# --- running --------------------------------------------------------------------------------


def _frames(*shape: int) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(90, 60_000, shape, np.uint16)


def _levels(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(50, 150, (count, 2)).astype(np.float32)


def test_a_plan_answers_as_its_network(compiler: TensorRT, network: Path) -> None:
    executor = compiler.load(_plan(compiler, network))
    frames_adu, levels_adu = _frames(3, 20, 64), _levels(3)
    expected = OnnxNetwork(network, intra_op_threads=1).detect(frames_adu, levels_adu)
    for index in range(len(PROFILES)):
        found = executor.run(frames_adu, levels_adu, profile=index)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = executor.run(np.asfortranarray(frames_adu), levels_adu[::1], profile=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_plan_that_answers_another_request_is_refused(
    compiler: TensorRT, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that computed with rounded numbers would."""
    answers = trt.IExecutionContext._answers

    def rounded(context: trt.IExecutionContext, inputs: dict[str, Any]) -> dict[str, Any]:
        found = answers(context, inputs)
        computed = found["COMPUTED_REQUEST"].astype(np.float16).astype(np.int32)
        return {**found, "COMPUTED_REQUEST": computed}

    monkeypatch.setattr(trt.IExecutionContext, "_answers", rounded)
    executor = compiler.load(_plan(compiler, network))
    with pytest.raises(PlanError, match=r"answers request \[.*\] as \[.*\]; expected the same num"):
        executor.run(_frames(3, 20, 64), _levels(3), profile=0)


def test_a_plan_passes_the_gate(compiler: TensorRT, network: Path) -> None:
    make_reference(network)
    reference = read_reference(network, contract.UNET)
    executor = compiler.load(_plan(compiler, network))
    assert gate.largest_difference(executor, reference, PROFILES) < 1e-6


def test_memory_is_told_for_each_profile(compiler: TensorRT, network: Path) -> None:
    found = compiler.load(_plan(compiler, network)).activation_bytes
    values = [2 * int(np.prod(each.largest)) + 2 * each.largest[0] for each in PROFILES]
    assert found == tuple(each + contract.REQUEST.dims[0] for each in values)


@pytest.mark.parametrize("where", ["at the context", "at the profile", "at the frames"])
def test_a_gpu_without_room(
    where: str, compiler: TensorRT, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what it says, by its free memory, and by CuPy's own error."""
    plan = _plan(compiler, network)
    if where == "at the context":
        monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", lambda *_: None)
        monkeypatch.setattr(cupy, "FREE_BYTES", 1 << 20)
    elif where == "at the profile":
        monkeypatch.setattr(trt, "_MEMORY", 1 << 20)
    else:

        def no_room(*_: object) -> None:
            raise cupy.OutOfMemoryError("Out of memory allocating 8 bytes")

        monkeypatch.setattr(cupy, "empty", no_room)
    with pytest.raises(
        GpuMemoryError, match=r"of the GPU's 25.8 GB are free.* smaller --largest-tile-px"
    ):
        compiler.load(plan).run(_frames(1, 16, 16), _levels(1), profile=0)


def test_a_context_that_fails_otherwise_is_the_plans_fault(
    compiler: TensorRT, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(compiler, network)
    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", lambda *_: None)
    with pytest.raises(PlanError, match="no context for profile 0: it gave no reason") as caught:
        compiler.load(plan)
    assert not isinstance(caught.value, GpuMemoryError)


def test_frames_out_of_the_profile_are_refused(compiler: TensorRT, network: Path) -> None:
    executor = compiler.load(_plan(compiler, network))
    frames_adu, levels_adu = _frames(1, 68, 64), _levels(1)
    with pytest.raises(PlanError, match="cannot run the plan: it gave no reason"):
        executor.run(frames_adu, levels_adu, profile=0)
    assert executor.run(frames_adu, levels_adu, profile=1).shape == (1, 7, 68, 64)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda plan: plan[:-9], "magicTag"),
        (lambda plan: plan.replace(b"10.13.3.9", b"10.12.0.1"), "not compatible"),
    ],
    ids=["torn", "of another version"],
)
def test_a_plan_that_does_not_fit(
    spoil: Callable[[bytes], bytes], message: str, compiler: TensorRT, network: Path
) -> None:
    with pytest.raises(PlanError, match=f"does not take the plan: .*{message}"):
        compiler.load(spoil(_plan(compiler, network)))


# --- where there is no TensorRT or no GPU ---------------------------------------------------


@pytest.mark.parametrize("missing", ["tensorrt", "cupy"])
def test_a_missing_package_is_named(missing: str, modules: pytest.MonkeyPatch) -> None:
    modules.setitem(sys.modules, missing, None)
    with pytest.raises(PlanError, match=rf"Python package {missing}, .*the server's container"):
        open_tensorrt()


def test_no_gpu(modules: pytest.MonkeyPatch) -> None:
    modules.setattr(cupy, "GPUS", [])
    with pytest.raises(PlanError, match=r"no GPU to build a plan on \(cudaErrorNoDevice"):
        open_tensorrt()


def test_more_than_one_gpu(modules: pytest.MonkeyPatch) -> None:
    """Triton gives a pool to the first alone, and spreads the steps over all."""
    modules.setattr(cupy, "GPUS", cupy.GPUS * 2)
    with pytest.raises(
        DeviceError, match=r"2 GPUs are visible; expected one, .* CUDA_VISIBLE_DEVICES=0"
    ):
        open_tensorrt()


def test_an_old_tensorrt(modules: pytest.MonkeyPatch) -> None:
    modules.setattr(trt, "__version__", "8.6.1")
    with pytest.raises(PlanError, match=r"TensorRT 8\.6\.1 is installed; expected 10 or 11"):
        open_tensorrt()
