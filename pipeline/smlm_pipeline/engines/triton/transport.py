"""The engine on Triton servers, over one gRPC channel. The gate alone uses ``tritonclient`` too."""

from __future__ import annotations

import functools
import logging
import os
import random
import time
from contextlib import AbstractContextManager
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferResult, service_pb2, service_pb2_grpc

from smlm_pipeline import contract
from smlm_pipeline.compute.network import byte_pairs
from smlm_pipeline.compute.sparse import decode
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.channel import channel_arguments
from smlm_pipeline.engines.triton.connections import Connections
from smlm_pipeline.engines.triton.credentials import credentials_of
from smlm_pipeline.engines.triton.errors import NOT_ADMITTED, error_of, is_busy
from smlm_pipeline.engines.triton.status import (
    ModelStatus,
    ServedNetwork,
    ServerStatus,
    network_of,
)
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.engines.triton.wire_format import encoded
from smlm_pipeline.errors import (
    ChunkError,
    ContractError,
    InferenceError,
    ServerError,
    ServerFullError,
    SwappedAnswerError,
    TransientServerError,
)
from smlm_pipeline.settings import Settings

QUESTION_PAUSES_S = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Longest pauses before a question is asked again that a busy gate refused, or lost."""

QUESTION_TIMEOUT_S = 5.0
"""Longest wait for an answer about the state of a server."""

_log = logging.getLogger(__name__)


class _Channel:
    """A channel of gRPC with Triton's calls."""

    def __init__(self, target: str, server_count: int, *, tls: ClientTls | None) -> None:
        arguments = channel_arguments(target, server_count)
        self._channel = _channel(target, arguments, tls)
        self.service = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self.infer_encoded = self._channel.unary_unary(  # its requests are bytes already
            "/inference.GRPCInferenceService/ModelInfer",
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )

    def close(self) -> None:
        self._channel.close()


class TritonTransport(AbstractContextManager["TritonTransport"]):
    """Sums chunks on Triton servers; a context manager that closes the connections.

    Parameters
    ----------
    servers : Servers
        Requests are sent to each of their addresses in turn.
    model : str
        The ensemble that requests name.
    timeout_s : float
        Longest wait for the sum of one chunk.

    Raises
    ------
    ServerError
        If a host is not known.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        model: str = contract.RECONSTRUCTION.name,
        timeout_s: float = Settings.timeout_s,
    ) -> None:
        self.address = str(servers)
        self.model = model
        self._timeout_s = timeout_s
        self.connections = Connections(servers, functools.partial(_Channel, tls=servers.tls))

    def __enter__(self) -> TritonTransport:
        """Do nothing: the first request opens the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections; pending requests are cancelled."""
        self.connections.close()

    @property
    def server_count(self) -> int:
        """Number of servers that share the requests now."""
        return self.connections.server_count

    @property
    def _service(self) -> service_pb2_grpc.GRPCInferenceServiceStub:
        return self.connections.channel.service

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Send one chunk and wait for its sum.

        Raises
        ------
        TransientServerError
            If the server is gone, full or stopping, its model died and there are others, or it
            answered another request or without the sums.
        ServerError
            If the model died on the only server.
        InferenceError
            If a model refused the chunk.
        ContractError
            If a server that has joined has another network.
        """
        specs = contract.ENSEMBLES.get(self.model, contract.RECONSTRUCTION).spec
        header = service_pb2.ModelInferRequest(model_name=self.model)
        for spec in specs.outputs:
            if spec is not contract.MOLECULES or request.window.molecules:
                header.outputs.add(name=spec.name)
        number = new_number()
        tensors = [_tensor(request, spec, number) for spec in specs.inputs]
        for spec, tensor in zip(specs.inputs, tensors, strict=True):
            header.inputs.add(name=spec.name, datatype=spec.dtype, shape=tensor.shape)
        message = encoded(header.SerializeToString(), tensors)
        try:
            with self.connections.for_a_request() as channel:
                response = channel.infer_encoded(message, timeout=self._timeout_s)
        except grpc.RpcError as error:
            code, text = error.code().name, _first_line(error.details())
            _log.info("%s on %s: %s: %s", request.label, self.address, code, text)
            several = self.server_count > 1
            raise error_of(code, text, self.address, request.label, several=several) from error
        return self._read(InferResult(response), request, number)

    def _read(
        self, answer: InferResult, request: Request, number: NDArray[np.int32]
    ) -> ChunkAnswer:
        """Read the tensors of an answer, if it is to the request of this number."""
        summed = answer.as_numpy(contract.SUMMED_REQUEST.name)
        if summed is not None and not np.array_equal(summed, number):
            raise SwappedAnswerError(
                f"{request.label}: {self.address} sent the {contract.SWAPPED}; it is sent again"
            )
        step, weight = answer.as_numpy(contract.STEP.name), answer.as_numpy(contract.WEIGHT.name)
        count = answer.as_numpy(contract.FRAME_COUNT.name)
        molecules = answer.as_numpy(contract.MOLECULES.name)
        lacks = any(tensor is None for tensor in (step, weight, count, summed))
        if lacks or (molecules is None and request.window.molecules):
            raise TransientServerError(f"{request.label}: {self.address} answered without its sums")
        try:
            sums = decode(step, weight)
        except ChunkError as error:
            raise InferenceError(f"{request.label}: {self.address} answered: {error}") from error
        return ChunkAnswer(sums, int(count[0]), molecules)

    def served_network(self) -> ServedNetwork:
        """Check that the server serves this client's contract, and return what it states of it.

        Raises
        ------
        ServerError
            If no server answers.
        ContractError
            If it lacks the model or serves it under another contract.
        """
        state = self._model_status(self.model)
        if not state.ready:
            raise ContractError(
                f"the server at {self.address} has no model {self.model!r} that is ready; start "
                "it on this project's model_repository (see 'recon-client status')"
            )
        if not state.fits:
            raise ContractError(
                f"the server at {self.address} serves {self.model!r} under contract version "
                f"{state.contract_version}; this client speaks {contract.CONTRACT_VERSION}: "
                "install the client and the model repository of one release"
            )
        network = self._model_status(network_of(self.model))
        version = (network.versions or state.versions)[-1]
        stated = network.request_pixels, network.class_borders_px, network.trained_ranges
        return ServedNetwork(version, *stated)

    def is_ready(self) -> bool:
        """Ask whether the server and all its models are ready.

        Raises
        ------
        ServerError
            If no server answers.
        """
        return bool(self._ask("ServerReady").ready)

    def reconnect(self, patience_s: float) -> bool:
        """Wait until a server that was started again answers; False if it has not by then."""
        question = service_pb2.ServerReadyRequest()
        try:
            self._service.ServerReady(question, timeout=patience_s, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return True

    def status(self) -> ServerStatus:
        """Ask for the state of the server and of this client's models.

        Raises
        ------
        ServerError
            If no server answers.
        """
        ready = self.is_ready()
        version = self._ask("ServerMetadata").version
        names = dict.fromkeys([*(model.name for model in contract.MODELS), self.model])
        models = tuple(self._model_status(name) for name in names)
        return ServerStatus(self.address, ready, version, self.model, models)

    def _model_status(self, name: str) -> ModelStatus:
        if not self._ask("ModelReady", name=name).ready:
            return ModelStatus(name, ready=False)
        versions = tuple(sorted(self._ask("ModelMetadata", name=name).versions, key=int))
        config = self._ask("ModelConfig", name=name).config
        stated = {key: value.string_value for key, value in config.parameters.items()}
        return ModelStatus(
            name,
            ready=True,
            versions=versions,
            contract_version=stated.get(contract.CONTRACT_PARAMETER),
            request_pixels=_whole_number(stated.get(contract.REQUEST_PIXELS_PARAMETER)),
            class_borders_px=_class_borders(stated.get(contract.CLASS_BORDERS_PARAMETER, "")),
            trained_ranges=_ranges(stated.get(contract.TRAINED_RANGES_PARAMETER, "")),
            queue_most=config.dynamic_batching.default_queue_policy.max_queue_size or None,
        )

    def _ask(self, question: str, **fields: str) -> Any:
        """Call a method of Triton's service that asks about its state."""
        request = getattr(service_pb2, f"{question}Request")(**fields)
        pauses_s = iter(QUESTION_PAUSES_S)
        while True:
            try:
                return getattr(self._service, question)(request, timeout=QUESTION_TIMEOUT_S)
            except grpc.RpcError as error:
                pause_s = next(pauses_s, None)
                if pause_s is None or not is_busy(error.code().name, error.details() or ""):
                    raise self._unanswered(error) from error
            time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - keeps no secret

    def _unanswered(self, error: grpc.RpcError) -> ServerError:
        reason, code = _first_line(error.details()), error.code().name
        if code in NOT_ADMITTED:
            return ServerError(f"{self.address} does not admit this client: {reason}")
        if is_busy(code, reason):
            return ServerFullError(f"{self.address} is busy ({reason}); try again later")
        return ServerError(
            f"no Triton server answers at {self.address} ({reason}); start one with "
            "'recon-client serve', or leave out --server to use the embedded one"
        )


def new_number() -> NDArray[np.int32]:
    """Draw a number for ``contract.REQUEST``, which no other message has."""
    return np.frombuffer(os.urandom(8), np.int32)


def _channel(
    target: str, arguments: list[tuple[str, int | str]], tls: ClientTls | None
) -> grpc.Channel:
    """Open a channel, with TLS where it is asked for."""
    if tls is None:
        return grpc.insecure_channel(target, options=arguments)
    credentials, named = credentials_of(tls)
    return grpc.secure_channel(target, credentials, options=[*arguments, *named])


def _tensor(request: Request, spec: contract.TensorSpec, number: NDArray[np.int32]) -> NDArray[Any]:
    """The values of an input of the ensemble."""
    if spec is contract.REQUEST:
        return number
    if spec is contract.FRAMES:
        return byte_pairs(request.frames_adu)
    if spec is contract.LEVELS:
        return request.levels_adu
    return request.window.as_tensor() if spec is contract.WINDOW else request.class_borders_px


def _whole_number(text: str | None) -> int | None:
    return (int(text) or None) if text and text.isdecimal() and text.isascii() else None


def _class_borders(text: str) -> dict[int, tuple[float, ...]]:
    try:
        return contract.class_borders_of(text)
    except ValueError:  # not this project's configuration
        return {}


def _ranges(text: str) -> dict[str, tuple[float, float]]:
    try:
        return contract.ranges_of(text)
    except ValueError:  # not this project's configuration
        return {}


def _first_line(text: str | None) -> str:
    return ((text or "").strip().splitlines() or ["no reason given"])[0]
