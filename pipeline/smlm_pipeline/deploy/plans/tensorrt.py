"""Build plans from ONNX files and run them, with TensorRT's Python API.

The modules ``tensorrt`` and ``cupy`` are arguments, from ``devices.open_tensorrt``: they
exist on machines with a GPU only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.network import byte_pairs
from smlm_pipeline.deploy.plans.compiler import Compiled
from smlm_pipeline.deploy.plans.key import Choices, Gpu
from smlm_pipeline.deploy.plans.profiles import Profile
from smlm_pipeline.errors import GpuMemoryError, PlanError

SUPPORTED = (10, 11)
"""Major versions of TensorRT that can build plans."""


_INPUTS = (contract.FRAMES, contract.LEVELS, contract.REQUEST)

_NUMBER = np.array([0x5EED, -0x5EED], np.int32)
"""The request of a plan that is checked: a plan that computes with it, or forgets it, shows."""


def major(version: str) -> int:
    """Return the first number of a version.

    Raises
    ------
    PlanError
        If it is not one of ``SUPPORTED``.
    """
    first = version.split(".")[0]
    if not first.isdigit() or int(first) not in SUPPORTED:
        raise PlanError(
            f"TensorRT {version} is installed; expected {' or '.join(map(str, SUPPORTED))}: take "
            "the version of the Triton image that will load the plan"
        )
    return int(first)


def creation_flags(trt: Any, tensorrt_major: int) -> int:
    """Return the flags of ``create_network`` that keep the types of the file."""
    if tensorrt_major == 10:
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return 0


class TensorRT:
    """A ``Compiler`` for the visible GPU.

    Parameters
    ----------
    trt, cupy : module
        ``tensorrt``, 10 or 11, and ``cupy``.
    gpu : Gpu
        The GPU.
    """

    def __init__(self, trt: Any, cupy: Any, gpu: Gpu) -> None:
        self.version: str = trt.__version__
        self.gpu = gpu
        self._trt, self._cupy = trt, cupy
        self._major = major(self.version)

    def compile(
        self,
        network: bytes,
        profiles: Sequence[Profile],
        choices: Choices,
        timing_cache: bytes,
    ) -> Compiled:
        """Build the plan of an ONNX file.

        Raises
        ------
        PlanError
            If TensorRT cannot read the file, refuses a profile or finds no kernels.
        GpuMemoryError
            If TensorRT says that the GPU's memory did not suffice to time kernels.
        """
        log = complaints(self._trt)
        builder = self._trt.Builder(log)
        definition = parsed(
            self._trt, builder, log, network, creation_flags(self._trt, self._major)
        )
        config = configured(self._trt, builder, profiles, choices)
        take_timings(config, timing_cache)
        plan = builder.build_serialized_network(definition, config)
        if plan is None:
            raise self._not_built(log)
        timings = config.get_timing_cache()
        return Compiled(bytes(plan), b"" if timings is None else bytes(timings.serialize()))

    def load(self, plan: bytes) -> LoadedPlan:
        """Load a plan on the GPU.

        Raises
        ------
        PlanError
            If it was built for another GPU or TensorRT.
        GpuMemoryError
            If the GPU lacks memory for its activations.
        """
        return LoadedPlan(self._trt, self._cupy, plan)

    def _not_built(self, log: Any) -> PlanError:
        """The error of a build; one for want of memory says nothing about the network."""
        reason = f"TensorRT {self.version} built no plan: {log.summary()}"
        if not log.of_memory():
            return PlanError(reason)
        free_bytes, total_bytes = self._cupy.cuda.runtime.memGetInfo()
        return GpuMemoryError(
            f"{reason}; {free_bytes / 1e9:.1f} of the GPU's {total_bytes / 1e9:.1f} GB are free: "
            "end what else uses the GPU, or build with a smaller --largest-tile-px"
        )


class LoadedPlan:
    """An ``Executor``: a plan with a context for each of its profiles, as in Triton.

    Parameters
    ----------
    trt, cupy : module
        As of ``TensorRT``.
    plan : bytes
        Contents of ``model.plan``.
    """

    def __init__(self, trt: Any, cupy: Any, plan: bytes) -> None:
        self._cupy, self._log = cupy, complaints(trt)
        self.activation_bytes: tuple[int, ...] = ()
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._runtime = trt.Runtime(self._log)  # the engine needs it
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            self._fail("TensorRT does not take the plan", needed_bytes=len(plan))
        count = self._engine.num_optimization_profiles
        self.activation_bytes = tuple(
            int(self._engine.get_device_memory_size_for_profile_v2(index)) for index in range(count)
        )
        strategy = trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        self._contexts = [self._context(strategy, index) for index in range(count)]
        names = (self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors))
        (self._answer,) = set(names) - {spec.name for spec in (*_INPUTS, contract.COMPUTED_REQUEST)}

    def run(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32], *, profile: int
    ) -> NDArray[np.float32]:
        """Answer frames (N, H, W), with their levels (N, 2), by (N, C, H', W').

        Raises
        ------
        PlanError
            If the frames do not fit the profile, the GPU fails, or the plan does not pass the
            number of its request on.
        GpuMemoryError
            If the GPU lacks memory for the frames or the answers.
        """
        context = self._contexts[profile]
        inputs: dict[str, NDArray[Any]] = {
            contract.FRAMES.name: byte_pairs(frames_adu),
            contract.LEVELS.name: np.ascontiguousarray(levels_adu),
            contract.REQUEST.name: _NUMBER,
        }
        for name, array in inputs.items():
            self._succeed(context.set_input_shape(name, array.shape))
        try:
            on_gpu = {name: self._cupy.asarray(array) for name, array in inputs.items()}
            shape = tuple(context.get_tensor_shape(self._answer))
            on_gpu[self._answer] = self._cupy.empty(shape, np.float32)
            on_gpu[contract.COMPUTED_REQUEST.name] = self._cupy.asarray(~_NUMBER)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise self._no_room(str(error)) from error
        self._cupy.cuda.Device().synchronize()  # the copies were on another stream
        for name, array in on_gpu.items():
            self._succeed(context.set_tensor_address(name, array.data.ptr))
        self._succeed(context.execute_async_v3(self._stream.ptr))
        self._stream.synchronize()
        computed = self._cupy.asnumpy(on_gpu[contract.COMPUTED_REQUEST.name])
        if not np.array_equal(computed, _NUMBER):
            raise PlanError(
                f"the plan answers request {_NUMBER.tolist()} as {computed.tolist()}; expected the "
                "same number: report it with the GPU and the version of TensorRT"
            )
        answers: NDArray[np.float32] = self._cupy.asnumpy(on_gpu[self._answer])
        return answers

    def _context(self, strategy: Any, profile: int) -> Any:
        context = self._engine.create_execution_context(strategy)
        # with this strategy memory is allocated when the profile is selected
        if context is None or not context.set_optimization_profile_async(profile, self._stream.ptr):
            self._fail(
                f"TensorRT makes no context for profile {profile}",
                needed_bytes=self.activation_bytes[profile],
            )
        self._stream.synchronize()
        return context

    def _succeed(self, succeeded: bool) -> None:
        if not succeeded:
            raise PlanError(f"TensorRT cannot run the plan: {self._log.summary()}")

    def _fail(self, what: str, *, needed_bytes: int) -> NoReturn:
        """Raise the error of a step that needs memory; it is the memory's where it is short."""
        free_bytes, _ = self._cupy.cuda.runtime.memGetInfo()
        reason = self._log.summary()
        if free_bytes < needed_bytes or self._log.of_memory():
            raise self._no_room(f"{what}: {reason}")
        raise PlanError(f"{what}: {reason}")

    def _no_room(self, reason: str) -> GpuMemoryError:
        free_bytes, total_bytes = self._cupy.cuda.runtime.memGetInfo()
        return GpuMemoryError(
            f"{reason}; {free_bytes / 1e9:.1f} of the GPU's {total_bytes / 1e9:.1f} GB are free, "
            f"and the plan's profiles hold {sum(self.activation_bytes) / 1e9:.1f} GB of "
            "activations at once: end what else uses the GPU, serve in FP16, or build with a "
            "smaller --largest-tile-px"
        )


def complaints(trt: Any) -> Any:
    """Make a logger for TensorRT that keeps warnings and errors, to quote them."""

    class Complaints(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # bound classes do not take super()
            self._lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.WARNING):
                self._lines.append(msg)

        def summary(self) -> str:
            """Return the last warnings and errors, in one line."""
            return "; ".join(self._lines[-3:]) or "it gave no reason"

        def of_memory(self) -> bool:
            """Whether the GPU's memory did not suffice, by any line: it may not be the last."""
            return any("outofmemory" in line.lower().replace(" ", "") for line in self._lines)

    return Complaints()


def parsed(trt: Any, builder: Any, log: Any, network: bytes, flags: int) -> Any:
    """Parse an ONNX file, and check that its inputs are the contract's.

    Raises
    ------
    PlanError
        If it has an operator that TensorRT lacks, or other tensors.
    """
    definition = builder.create_network(flags)
    parser = trt.OnnxParser(definition, log)
    if not parser.parse(network):
        found = (parser.get_error(index) for index in range(parser.num_errors))
        errors = "; ".join(f"{error.node_name()}: {error.desc()}" for error in found)
        raise PlanError(f"TensorRT cannot read the network: {errors or log.summary()}")
    inputs = [definition.get_input(index).name for index in range(definition.num_inputs)]
    expected = [spec.name for spec in _INPUTS]
    if inputs != expected or definition.num_outputs != 2:
        raise PlanError(
            f"the network has the inputs {', '.join(inputs)} and {definition.num_outputs} outputs; "
            f"expected {', '.join(expected)}, and two outputs: export it again with this release"
        )
    return definition


def take_timings(config: Any, timing_cache: bytes) -> None:
    """Give a build the timings of earlier ones, or none if TensorRT refuses them."""
    for content in (timing_cache, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def configured(trt: Any, builder: Any, profiles: Sequence[Profile], choices: Choices) -> Any:
    """Configure a build: profiles, TF32 or not, memory of a kernel.

    Raises
    ------
    PlanError
        If TensorRT refuses a profile.
    """
    config = builder.create_builder_config()
    if choices.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)  # TensorRT's own default is to round
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, choices.workspace_bytes)
    for each in profiles:
        profile = builder.create_optimization_profile()
        for name, (smallest, usual, largest) in each.shapes().items():
            profile.set_shape(name, smallest, usual, largest)
        if config.add_optimization_profile(profile) < 0:
            raise PlanError(f"TensorRT refuses the profile {each}")
    return config
