"""A stand-in for the parts of TensorRT's Python API that are used, and strict about them.

What it is not: it knows no GPU and chooses no kernels. Its "plan" is the ONNX file
with the profiles, and ONNX Runtime answers in its place. What it does hold is the
order of calls, the types and names of arguments, and what the real one refuses:
shapes out of a profile, addresses that were not given, a plan of another version.
``test_the_fake_has_no_more_than_the_real_one`` holds its names against NVIDIA's own.
"""

from __future__ import annotations

import enum
import json
from typing import Any

import numpy as np
import onnx
import onnxruntime

from fakes import cupy

__version__ = "10.13.3.9"

_MEMORY = 1 << 40
"""What the GPU has for an engine's contexts."""

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float)": np.dtype(np.float32),
    "tensor(int32)": np.dtype(np.int32),
}
"""Types of a network's tensors, as ONNX Runtime names them."""


class ILogger:
    """Bound classes want their own ``__init__`` called, not super's."""

    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3

    def __init__(self) -> None:
        self.initialised = True

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 7


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class ExecutionContextAllocationStrategy(enum.IntEnum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1


class IHostMemory:
    """Memory of TensorRT's: bytes() reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content


class ITensor:
    def __init__(self, name: str) -> None:
        self.name = name


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model: onnx.ModelProto | None = None

    @property
    def num_inputs(self) -> int:
        return len(self._graph.input)

    @property
    def num_outputs(self) -> int:
        return len(self._graph.output)

    def get_input(self, index: int) -> ITensor:
        return ITensor(self._graph.input[index].name)

    @property
    def _graph(self) -> onnx.GraphProto:
        if self.model is None:
            raise AssertionError("the network was not parsed")
        return self.model.graph


class ParserError:
    def __init__(self, node: str, text: str) -> None:
        self._node, self._text = node, text

    def node_name(self) -> str:
        return self._node

    def desc(self) -> str:
        return self._text


class OnnxParser:
    """Knows the operators of the networks here; refuses ``Erf``, to have one that it refuses."""

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        _check(network, INetworkDefinition)
        _check_logger(logger)
        self._network = network
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse(self, model: bytes) -> bool:
        _check(model, bytes)
        parsed = onnx.load_from_string(model)
        self._errors = [
            ParserError(node.name, f"no importer for operator {node.op_type}")
            for node in parsed.graph.node
            if node.op_type == "Erf"
        ]
        self._network.model = parsed
        return not self._errors


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002 - its names
        self.shapes[input] = [list(min), list(opt), list(max)]


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> IHostMemory:
        return IHostMemory(self.content)


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}  # on by default, as in the real one
        self.pools: dict[MemoryPoolType, int] = {}
        self.profiles: list[IOptimizationProfile] = []
        self._cache: ITimingCache | None = None

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(BuilderFlag(flag))

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(BuilderFlag(flag))

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self.pools[MemoryPoolType(pool)] = pool_size

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        _check(profile, IOptimizationProfile)
        for smallest, usual, largest in profile.shapes.values():
            ordered = zip(smallest, usual, largest, strict=True)
            if not all(low <= middle <= high for low, middle, high in ordered):
                return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        _check(serialized_timing_cache, bytes)
        if serialized_timing_cache and not serialized_timing_cache.startswith(b"timings of "):
            return None
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        _check(cache, ITimingCache)
        _check(ignore_mismatch, bool)
        if cache.content and not cache.content.startswith(b"timings of 10.13"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder:
    """The last one's network and configuration stay for a test to look at."""

    last: Builder

    def __init__(self, logger: ILogger) -> None:
        _check_logger(logger)
        self.logger = logger
        Builder.last = self

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        self.network = INetworkDefinition(flags)
        return self.network

    def create_builder_config(self) -> IBuilderConfig:
        self.config = IBuilderConfig()
        return self.config

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        if not config.profiles or network.model is None:
            self.logger.log(ILogger.Severity.ERROR, "Network has dynamic or shape inputs, but no ")
            return None
        if config.pools.get(MemoryPoolType.WORKSPACE, 1 << 40) < 1 << 20:
            self.logger.log(ILogger.Severity.INFO, "looking at tactics")
            self.logger.log(ILogger.Severity.ERROR, "Could not find any implementation for node")
            return None
        cache = config.get_timing_cache()
        if cache is not None:
            cache.content = f"timings of {__version__}".encode()
        told = {
            "version": __version__,
            "flags": [flag.name for flag in sorted(config.flags)],
            "profiles": [profile.shapes for profile in config.profiles],
            "network": network.model.SerializeToString().hex(),
        }
        return IHostMemory(json.dumps(told).encode())


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """With ``ON_PROFILE_CHANGE`` this is where the memory is taken."""
        _check(stream_handle, int)
        self._profile = profile_index
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            return False
        return self._engine._take(profile_index)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._engine.profiles[self._profile][name]
        self._shapes[name] = tuple(shape)
        within = zip(smallest, shape, largest, strict=True)
        return all(low <= size <= high for low, size, high in within)

    def get_tensor_shape(self, name: str) -> list[int]:
        if name in self._engine.types:
            raise AssertionError(f"the shape of {name} is no question")
        inputs = {each: np.zeros(*self._input(each)) for each in self._engine.types}
        return [*self._answers(inputs)[name].shape]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        _check(memory, int)
        self._addresses[name] = memory
        return name in self._engine.names

    def execute_async_v3(self, stream_handle: int) -> bool:
        _check(stream_handle, int)
        inputs = {
            each: _at(self._addresses[each], *self._input(each)) for each in self._engine.types
        }
        for name, found in self._answers(inputs).items():
            _at(self._addresses[name], found.shape, found.dtype)[:] = found
        return True

    def _input(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an input."""
        if name not in self._shapes:
            raise AssertionError(f"no shape was set for {name}")
        return self._shapes[name], self._engine.types[name]

    def _answers(self, inputs: dict[str, Any]) -> dict[str, Any]:
        found = self._engine.session.run(None, inputs)
        names = (each.name for each in self._engine.session.get_outputs())
        return dict(zip(names, found, strict=True))


class ICudaEngine:
    def __init__(self, told: dict[str, Any], logger: ILogger) -> None:
        self.profiles = told["profiles"]
        self._logger, self._free = logger, _MEMORY
        self.session = onnxruntime.InferenceSession(
            bytes.fromhex(told["network"]), providers=["CPUExecutionProvider"]
        )
        inputs = self.session.get_inputs()
        self.types: dict[str, np.dtype[Any]] = {each.name: _TYPES[each.type] for each in inputs}
        self.names: list[str] = [*self.types, *(each.name for each in self.session.get_outputs())]

    def _take(self, profile_index: int) -> bool:
        """Whether a context finds room for its activations."""
        self._free -= self.get_device_memory_size_for_profile_v2(profile_index)
        if self._free < 0:
            self._logger.log(
                ILogger.Severity.ERROR, "Requested amount of GPU memory: out of memory"
            )
        return self._free >= 0

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return sum(int(np.prod(largest)) for _, _, largest in self.profiles[profile_index].values())

    def create_execution_context(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> IExecutionContext | None:
        """By default every context would hold the memory of the largest profile."""
        needed = max(map(self.get_device_memory_size_for_profile_v2, range(len(self.profiles))))
        roomy = strategy == ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        return IExecutionContext(self) if roomy or needed < 1 << 20 else None


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        _check_logger(logger)
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        _check(serialized_engine, bytes)
        try:
            told = json.loads(serialized_engine)
        except ValueError:
            self._logger.log(ILogger.Severity.ERROR, "Serialization assertion magicTag failed")
            return None
        if told["version"] != __version__:
            self._logger.log(ILogger.Severity.ERROR, "The engine plan file is not compatible")
            return None
        return ICudaEngine(told, self._logger)


def _at(address: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> Any:
    """The array at an address of the fake device."""
    if address not in cupy.allocated:
        raise AssertionError("the address is not on the device")
    values = np.ctypeslib.as_ctypes_type(kind) * int(np.prod(shape))
    return np.ctypeslib.as_array(values.from_address(address)).reshape(shape)


def _check(value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, not {value!r}")


def _check_logger(logger: object) -> None:
    if not (isinstance(logger, ILogger) and getattr(logger, "initialised", False)):
        raise TypeError("a logger is an ILogger whose own __init__ was called")
