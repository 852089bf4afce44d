"""A network alone, without its normalisation, on frames in memory, in each engine's fastest ways.

All ways use all CPUs, keep every answer, and differ in what the threads share: a frame, or the
frames of a batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import openvino
from numpy.typing import NDArray

from smlm_bench.speed.engines import KERAS, ONNX, OPENVINO_BF16, OPENVINO_F32, OPENVINO_LAYERS
from smlm_pipeline import contract
from smlm_pipeline.compute.processor import available_cpus, has_bf16
from smlm_training.delivery.activation_graph import without_activation
from smlm_training.delivery.normalizing_graph import without_normalization
from smlm_training.delivery.request_graph import without_request

if TYPE_CHECKING:
    import keras

NO_BF16 = "bfloat16 was not timed: this processor has no instructions for it"

TOGETHER, APART = "threads share a frame", "a frame for each thread"

BATCHES = (1, 4)
"""Frames of one call."""

Works = Iterator[tuple[str, str, Callable[[], list[Any]]]]
"""Engine, way and work."""


def write_bare(network: Path, file: Path) -> Path:
    """Write the part of a network that reads ``NORMALIZED``.

    Raises
    ------
    ContractError
        If it has no such tensor.
    """
    onnx.save(_layers(network), file)
    return file


def write_layers(network: Path, file: Path) -> Path:
    """Write the layers of a network of detections: from ``NORMALIZED`` to ``LOGITS``.

    Raises
    ------
    ContractError
        If it has no such tensors.
    """
    onnx.save(without_activation(_layers(network)), file)
    return file


def _layers(network: Path) -> onnx.ModelProto:
    """The network without what the contract puts before and beside its layers."""
    return without_normalization(without_request(onnx.load(network)))


def onnx_ways(file: Path, normalized: NDArray[np.float32]) -> Works:
    """ONNX Runtime in each of its ways.

    Parameters
    ----------
    file : Path
        A file of `write_bare`.
    normalized : ndarray, shape (N, 1, H, W), float32
        The frames.
    """
    together = _session(file, available_cpus())
    for parts in _batches(normalized):
        way = f"{TOGETHER}, batches of {len(parts[0])}"
        yield ONNX, way, functools.partial(_run_all, together, parts)
    if len(normalized) >= available_cpus() > 1:
        alone, pool = _session(file, 1), ThreadPoolExecutor(available_cpus())
        run = functools.partial(_run, alone)
        yield ONNX, APART, lambda: list(pool.map(run, np.split(normalized, len(normalized))))


def openvino_ways(file: Path, normalized: NDArray[np.float32]) -> Works:
    """OpenVINO in float32, and in bfloat16 if the processor has it, in each of its ways.

    Parameters
    ----------
    file : Path
        A file of `write_bare`.
    normalized : ndarray, shape (N, 1, H, W), float32
        The frames.
    """
    engines = {OPENVINO_F32: "f32", OPENVINO_BF16: "bf16"}
    for engine, precision in engines.items():
        if precision == "f32" or has_bf16():
            yield from _in_openvino(engine, file, precision, normalized)


def layers_ways(file: Path, normalized: NDArray[np.float32]) -> Works:
    """OpenVINO on the layers alone, as our engine uses it, in its fastest precision.

    Parameters
    ----------
    file : Path
        A file of `write_layers`.
    normalized : ndarray, shape (N, 1, H, W), float32
        The frames.
    """
    yield from _in_openvino(OPENVINO_LAYERS, file, "bf16" if has_bf16() else "f32", normalized)


def _in_openvino(engine: str, file: Path, precision: str, normalized: NDArray[np.float32]) -> Works:
    compiled = _compiled(file, precision, streams=1)
    yield engine, TOGETHER, functools.partial(_infer_all, compiled, _batches(normalized)[0])
    if len(normalized) >= available_cpus() > 1:
        compiled = _compiled(file, precision, streams=available_cpus())
        for parts in _batches(normalized):
            way = f"{APART}, batches of {len(parts[0])}"
            yield engine, way, functools.partial(_infer_all, compiled, parts)


def keras_ways(model: keras.Model, normalized: NDArray[np.float32]) -> Works:
    """TensorFlow's graph in batches of several sizes."""
    for parts in _batches(np.ascontiguousarray(normalized.transpose(0, 2, 3, 1))):
        way = f"batches of {len(parts[0])}"
        yield KERAS, way, functools.partial(_predict_all, model, parts)


def _batches(frames: NDArray[np.float32]) -> list[list[NDArray[np.float32]]]:
    """The frames cut into batches, for each size of a batch that they fill."""
    sizes = [size for size in BATCHES if size <= len(frames)]
    return [
        [frames[first : first + size] for first in range(0, len(frames), size)] for size in sizes
    ]


def _session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, frames: NDArray[np.float32]) -> Any:
    (answers,) = session.run(None, {contract.NORMALIZED.name: frames})
    return answers


def _run_all(session: onnxruntime.InferenceSession, parts: list[NDArray[np.float32]]) -> list[Any]:
    return [_run(session, part) for part in parts]


@functools.cache
def _core() -> openvino.Core:
    """A core that is never let go; see `smlm_pipeline.compute.openvino_network`."""
    return openvino.Core()


def _compiled(file: Path, precision: str, *, streams: int) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": available_cpus(),
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
    }
    return _core().compile_model(_core().read_model(file), "CPU", settings)


def _infer_all(
    compiled: openvino.CompiledModel, parts: list[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """All answers; streams take the parts as they become free."""
    answers: dict[int, NDArray[np.float32]] = {}

    def keep(request: openvino.InferRequest, index: int) -> None:
        answers[index] = request.get_output_tensor().data.copy()

    requests = openvino.AsyncInferQueue(compiled)
    requests.set_callback(keep)
    for index, part in enumerate(parts):
        requests.start_async([part], index, share_inputs=True)
    requests.wait_all()
    return [answers[index] for index in range(len(parts))]


def _predict_all(model: keras.Model, parts: list[NDArray[np.float32]]) -> list[Any]:
    return [model.predict_on_batch(part) for part in parts]
