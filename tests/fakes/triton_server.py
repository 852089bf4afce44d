"""A gRPC server that answers as Triton does, or fails as a test asks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from fakes.transports import is_look, molecules_that_persist
from smlm_pipeline import contract
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.network import frames_of
from smlm_pipeline.compute.window import check_window
from smlm_pipeline.engines.transport import Request, Transport
from smlm_pipeline.engines.triton.addresses import Address, Servers

MODELS = tuple(model.name for model in contract.MODELS)

_NUMPY_TYPES = {"UINT8": np.uint8, "FP32": np.float32, "INT32": np.int32}


class FakeTriton:
    """On a free port of the loopback, running within a ``with`` block.

    What it counts leaves out the look before a run.

    Parameters
    ----------
    transport : Transport
        What computes the sums.
    contract_version : str or None
        What its models state.
    models : tuple of str
        Those that are ready.
    versions : tuple of str
        What is served of each.
    host : str
        Where it listens, an address of the loopback.
    port : int
        Its port, or 0 for a free one.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        contract_version: str | None = str(contract.CONTRACT_VERSION),
        models: tuple[str, ...] = MODELS,
        versions: tuple[str, ...] = ("10", "9"),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.outputs = tuple(spec.name for spec in contract.RECONSTRUCTION.spec.outputs)
        self.request_pixels: int | str | None = None
        self.class_borders_px: str | None = None
        self.trained_ranges: str | None = None
        self.queue_most = 0
        self.answered = 0
        self.numbers: list[bytes] = []
        self.number_off_by = np.zeros(contract.REQUEST.dims, np.int32)
        self._lock = threading.Lock()
        self._serial = itertools.count()
        self._transport = transport
        self._contract_version = contract_version
        self._models = models
        self.versions = versions
        self.network_versions = versions
        self._pool = ThreadPoolExecutor(4)
        unbounded = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        self._server = grpc.server(self._pool, options=unbounded)
        self._server.add_generic_rpc_handlers((self._handlers(),))
        port = self._server.add_insecure_port(f"{host}:{port}")
        self.servers = Servers((Address(host, port),))
        self.address = str(self.servers)

    def __enter__(self) -> FakeTriton:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()
        self._pool.shutdown()

    def listen(self, credentials: grpc.ServerCredentials) -> str:
        """Listen with TLS on another port too, before the start; return its address."""
        return f"127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', credentials)}"

    def _handlers(self) -> grpc.GenericRpcHandler:
        answers: dict[str, Callable[[Any, grpc.ServicerContext], Any]] = {
            "ServerReady": lambda _question, _: service_pb2.ServerReadyResponse(ready=True),
            "ServerMetadata": lambda _question, _: service_pb2.ServerMetadataResponse(
                name="triton", version="2.51.0"
            ),
            "ModelReady": lambda question, _: service_pb2.ModelReadyResponse(
                ready=question.name in self._models
            ),
            "ModelMetadata": self._metadata,
            "ModelConfig": self._config,
            "ModelInfer": self._infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=getattr(service_pb2, f"{name}Request").FromString,
                response_serializer=getattr(service_pb2, f"{name}Response").SerializeToString,
            )
            for name, answer in answers.items()
        }
        return grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)

    def _metadata(self, question: Any, _context: grpc.ServicerContext) -> Any:
        served = self.network_versions if question.name in contract.NETWORKS else self.versions
        return service_pb2.ModelMetadataResponse(name=question.name, versions=served)

    def _config(self, question: Any, _context: grpc.ServicerContext) -> Any:
        answer = service_pb2.ModelConfigResponse()
        answer.config.name = question.name
        if self._contract_version is not None:
            stated = answer.config.parameters[contract.CONTRACT_PARAMETER]
            stated.string_value = self._contract_version
        if self.request_pixels is not None:
            budget = answer.config.parameters[contract.REQUEST_PIXELS_PARAMETER]
            budget.string_value = str(self.request_pixels)
        if self.class_borders_px is not None:
            borders = answer.config.parameters[contract.CLASS_BORDERS_PARAMETER]
            borders.string_value = self.class_borders_px
        if self.trained_ranges is not None:
            ranges = answer.config.parameters[contract.TRAINED_RANGES_PARAMETER]
            ranges.string_value = self.trained_ranges
        answer.config.dynamic_batching.default_queue_policy.max_queue_size = self.queue_most
        return answer

    def _infer(self, question: Any, context: grpc.ServicerContext) -> Any:
        if self.failure is not None:
            context.abort(*self.failure)
        arrays = {
            tensor.name: np.frombuffer(raw, _NUMPY_TYPES[tensor.datatype]).reshape(tensor.shape)
            for tensor, raw in zip(question.inputs, question.raw_input_contents, strict=True)
        }
        frames_adu = frames_of(arrays["FRAMES"])
        window = check_window(arrays["WINDOW"], *frames_adu.shape[1:])
        label = f"request {next(self._serial)}"
        request = Request(label, frames_adu, arrays["LEVELS"], window, arrays["CLASS_BORDERS"])
        found = self._transport.sum_chunk(request)
        step, weight = encode(found.sums)
        computed: dict[str, NDArray[Any]] = {
            "STEP": step,
            "WEIGHT": weight,
            "FRAME_COUNT": np.array([found.frame_count], np.int32),
            "SUMMED_REQUEST": arrays["REQUEST"] ^ self.number_off_by,
        }
        if found.molecules is not None:
            computed["MOLECULES"] = found.molecules
        elif is_look(request):
            computed["MOLECULES"] = molecules_that_persist(window, found.frame_count)
        answer = service_pb2.ModelInferResponse(model_name=question.model_name)
        for spec in contract.RECONSTRUCTION.spec.outputs:
            asked = spec.name in (output.name for output in question.outputs)
            if asked and spec.name in self.outputs and spec.name in computed:
                array = computed[spec.name]
                answer.outputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
                answer.raw_output_contents.append(array.tobytes())
        if not is_look(request):
            with self._lock:
                self.answered += 1
                self.numbers.append(arrays["REQUEST"].tobytes())
        return answer
