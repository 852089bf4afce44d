"""A trained network in this process: OpenVINO on the CPU, in float32 or bfloat16."""

from __future__ import annotations

import functools
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeAlias

import numpy as np
import openvino
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.activation import activate
from smlm_pipeline.compute.network import NetworkEngine, answer_of, check_tile
from smlm_pipeline.compute.normalize import check_levels, normalize
from smlm_pipeline.compute.processor import available_cpus, has_bf16, processor_name
from smlm_pipeline.errors import ContractError

RUN_PIXELS = 4 * 64 * 64
"""Pixels that a stream computes at a time: small frames run by fours, which costs a tenth less."""

REQUESTS_PER_STREAM = 2
"""One is computed while the next is handed over."""

CACHED_KERNELS = 1024
"""Most kernels that OpenVINO keeps for the sizes of frames it has met: some 30 sizes."""

NO_BF16 = "this processor has no bfloat16, so the network is computed in float32"
"""The note where bfloat16 was asked for in vain."""

_Requests: TypeAlias = "queue.SimpleQueue[openvino.InferRequest]"


@functools.cache
def _core() -> openvino.Core:
    """The core of this process, which is never let go.

    A core gives the thread another stack for signals. When the first of two cores ends before the
    second, the second puts back the stack that the first has freed, and the next signal ends the
    process (seen in 2026.4.1).
    """
    return openvino.Core()


class OpenvinoNetwork:
    """``model.onnx`` with one stream for each CPU; a `smlm_pipeline.compute.network.Network`.

    A frame is computed by one stream of one thread. Frames of several calls share the streams,
    so that none is idle at the end of a chunk. The network is compiled once, for every size:
    networks that are compiled for one size give the same bits and are 2 to 5 % faster only.
    Frames are normalised before: inside of the network bfloat16 would round their values. Logits
    are activated behind, in float32.

    Parameters
    ----------
    path : Path
        The ONNX file.
    bf16 : bool
        Whether to compute in bfloat16, if the processor has it.
    threads : int
        Streams; 0 takes as many as CPUs that this process may run on.

    Raises
    ------
    ContractError
        If its tensors are not those of the contract.
    RuntimeError
        If OpenVINO cannot compile or run it.
    """

    def __init__(self, path: Path, *, bf16: bool, threads: int) -> None:
        streams = threads or available_cpus()
        core = _core()
        possible = has_bf16() and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        model = core.read_model(path.read_bytes())
        self.answer = _answer(model)
        model, self._activates = _layers(model, self.answer)
        settings = _settings(streams, bf16=bf16 and possible)
        self._compile: Callable[[], openvino.CompiledModel] = lambda: core.compile_model(
            model, "CPU", settings
        )
        self._streams = streams
        compiled = self._compile()
        self._idle = self._requests(compiled)
        self._pool = ThreadPoolExecutor(streams * REQUESTS_PER_STREAM, thread_name_prefix="network")
        precision = compiled.get_property("INFERENCE_PRECISION_HINT")
        self.engine = NetworkEngine(
            "OpenVINO",
            openvino.__version__.split("-")[0],
            "bf16" if precision == openvino.Type.bf16 else "f32",
            processor_name(),
            NO_BF16 if bf16 and not possible else "",
        )
        smallest = contract.MIN_FRAME_PX
        blank_adu = np.zeros((1, smallest, smallest), np.uint16)
        self.detect(blank_adu, np.array([[0, 1]], np.float32))  # or it fails now

    def detect(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Run the network on each frame; calls of several threads share the streams.

        Raises
        ------
        ChunkError
            If an edge is not a multiple of ``SIZE_MULTIPLE_PX``, a level is not finite, or a
            scale is not positive.
        RuntimeError
            If OpenVINO fails, in this call or in one beside it; another call may succeed.
        """
        check_tile(frames_adu)
        check_levels(levels_adu, len(frames_adu))
        count, height, width = frames_adu.shape
        zoom, channels = self.answer.zoom, self.answer.channels
        answers = np.empty((count, channels, height * zoom, width * zoom), np.float32)
        step = max(min(RUN_PIXELS // (height * width), count // self._streams), 1)
        parts = [slice(first, first + step) for first in range(0, count, step)]
        idle = self._idle
        runs = [
            self._pool.submit(self._run, idle, frames_adu[part], levels_adu[part], answers[part])
            for part in parts
        ]
        wait(runs)
        for run in runs:
            run.result()
        if self._idle is not idle:
            raise RuntimeError("OpenVINO failed in another call; its streams were opened again")
        return answers

    def _run(
        self,
        idle: _Requests,
        frames_adu: NDArray[np.uint16],
        levels_adu: NDArray[np.float32],
        answers: NDArray[np.float32],
    ) -> None:
        """Answer a part of a call; after a failure the streams are not trusted any more.

        A stream that has failed may answer with what it computed before (seen in 2026.4.1, after
        frames of a size that does not fit). So all are opened again, and calls that used the old
        ones fail.
        """
        request = idle.get()
        try:
            normalized = normalize(frames_adu, levels_adu)
            (found,) = request.infer([normalized], share_inputs=True, share_outputs=True).values()
            if found.shape != answers.shape:  # NumPy would repeat one answer for several frames
                raise RuntimeError(f"OpenVINO answered {found.shape}; expected {answers.shape}")
            if self._activates:
                activate(found, answers)
            else:
                answers[:] = found
        except BaseException:
            if self._idle is idle:
                self._idle = self._requests(self._compile())
            raise
        finally:
            idle.put(request)

    def _requests(self, compiled: openvino.CompiledModel) -> _Requests:
        requests: _Requests = queue.SimpleQueue()
        for _ in range(self._streams * REQUESTS_PER_STREAM):
            requests.put(compiled.create_infer_request())
        return requests


def _settings(streams: int, *, bf16: bool) -> dict[str, object]:
    """Throughput: as many streams as threads, which the system may move between CPUs."""
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": str(CACHED_KERNELS),
    }


def _answer(model: openvino.Model) -> contract.Answer:
    """Find the kind of the answer by the names and axes of the network's tensors."""
    ports = (*model.inputs, *model.outputs)
    return answer_of([(port.get_any_name(), _axes(port.get_partial_shape())) for port in ports])


def _axes(shape: openvino.PartialShape) -> tuple[int, ...]:
    """Lengths of the axes, -1 for any; none where their number is open."""
    if shape.rank.is_dynamic:
        return ()
    return tuple(-1 if axis.is_dynamic else axis.get_length() for axis in shape)


def _layers(model: openvino.Model, answer: contract.Answer) -> tuple[openvino.Model, bool]:
    """The layers of the network, from its inner tensor NORMALIZED on, and whether to activate.

    They end before the activation, unless the network has no tensor of that name.

    Raises
    ------
    ContractError
        If there is no tensor NORMALIZED.
    """
    name = contract.NORMALIZED.name
    normalized, last = _port(model, name), _port(model, answer.last_layer.name)
    if normalized is None:
        raise ContractError(
            f"the network has no inner tensor {name}: train it with this release and export it"
        )
    given = openvino.opset13.parameter(list(contract.NORMALIZED.dims), np.float32, name)
    for reader in normalized.get_target_inputs():
        reader.replace_source_output(given.output(0))
    activates = last is not None and answer.last_layer != answer.tensor
    end = last if activates else _port(model, answer.name)
    return openvino.Model([openvino.opset13.result(end)], [given], "network"), activates


def _port(model: openvino.Model, name: str) -> openvino.Output | None:
    """The inner tensor of this name."""
    ports = (port for node in model.get_ordered_ops() for port in node.outputs())
    return next((port for port in ports if name in port.get_names()), None)
