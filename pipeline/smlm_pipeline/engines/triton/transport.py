"""The engine on a Triton server, over gRPC. Nothing else here imports ``tritonclient``."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
import tritonclient.grpc as grpcclient
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton import addresses
from smlm_pipeline.engines.triton.channel import channel_arguments
from smlm_pipeline.engines.triton.errors import error_of
from smlm_pipeline.engines.triton.wire_format import encoded
from smlm_pipeline.errors import ContractError, InferenceError, ServerError
from smlm_pipeline.settings import Settings

QUESTION_TIMEOUT_S = 5.0
"""Longest wait for an answer to a question about the server."""

_INPUTS = (contract.FRAMES, contract.LEVELS, contract.FILM_MEAN, contract.WINDOW)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """A model as the server states it."""

    name: str
    ready: bool
    versions: tuple[str, ...]
    contract_version: str | None

    @property
    def fits(self) -> bool:
        """Whether this client can use it."""
        return self.ready and self.contract_version == str(contract.CONTRACT_VERSION)


@dataclass(frozen=True)
class ServerStatus:
    """What a server says of itself and of the models of this client.

    ``asked`` is the model that is to be used; a server may lack what only others need.
    """

    address: str
    ready: bool
    server_version: str
    asked: str
    models: tuple[ModelStatus, ...]

    @property
    def network_version(self) -> str | None:
        """The version that all servers of an image have to share; None without the model."""
        versions = {model.name: model.versions for model in self.models}
        served = versions.get(_network_of(self.asked)) or versions.get(self.asked)
        return served[-1] if served else None

    @property
    def fits(self) -> bool:
        """Whether the model that is asked, with its steps, can be used."""
        needed = {self.asked, *(step.name for step in _steps_of(self.asked))}
        return self.ready and all(model.fits for model in self.models if model.name in needed)

    def as_dict(self) -> dict[str, Any]:
        """All that is known, for JSON."""
        models = [{**asdict(model), "fits": model.fits} for model in self.models]
        return {**asdict(self), "models": models, "fits": self.fits}


class TritonTransport(AbstractContextManager["TritonTransport"]):
    """Sums chunks on Triton servers; a context manager that closes the connections.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of a server's gRPC endpoint, or several with commas between. Requests
        go round all addresses that these have.
    model : str
        The ensemble that is asked.
    timeout_s : float
        Longest wait for the sum of one chunk.

    Raises
    ------
    SettingError
        If the address is none.
    ServerError
        If its host is not known.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str = contract.RECONSTRUCTION.name,
        timeout_s: float = Settings.timeout_s,
    ) -> None:
        asked = addresses.parse(address)
        found = [each for name in asked for each in addresses.look_up(name)]
        self.address = addresses.named(asked)
        self.model = model
        self.server_count = max(len(asked), addresses.count_servers(found))
        self._timeout_s = timeout_s
        target = addresses.grpc_target(asked, found)
        arguments = channel_arguments(target, self.server_count)
        self._client = grpcclient.InferenceServerClient(target, channel_args=arguments)
        self._channel = grpc.insecure_channel(target, options=arguments)
        self._infer = self._channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )

    def __enter__(self) -> TritonTransport:
        """Nothing to do: the connection is made with the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections; requests under way are cancelled."""
        self._channel.close()
        self._client.close()

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        """Send one chunk and wait for its sum.

        Raises
        ------
        TransientServerError
            If the server is gone, full or stopping, or its model died and there are others.
        ServerError
            If the model died on the only server.
        InferenceError
            If a model refused the chunk.
        """
        tensors: tuple[NDArray[Any], ...] = (
            request.frames_adu,
            request.levels_adu,
            request.mean_adu,
            request.window,
        )
        header = service_pb2.ModelInferRequest(model_name=self.model)
        for spec, tensor in zip(_INPUTS, tensors, strict=True):
            header.inputs.add(name=spec.name, datatype=spec.dtype, shape=tensor.shape)
        try:
            found = self._infer(
                encoded(header.SerializeToString(), tensors), timeout=self._timeout_s
            )
        except grpc.RpcError as error:
            code, text = error.code().name, _first_line(error.details())
            _log.info("%s on %s: %s: %s", request.label, self.address, code, text)
            several = self.server_count > 1
            raise error_of(code, text, self.address, request.label, several=several) from error
        answer = grpcclient.InferResult(found)
        image = answer.as_numpy(contract.IMAGE.name)
        count = answer.as_numpy(contract.FRAME_COUNT.name)
        if image is None or count is None:
            raise InferenceError(f"{request.label}: {self.address} answered without an image")
        return ChunkAnswer(image, int(count[0]))

    def model_version(self) -> str:
        """Check that the server is there and serves our contract; the version of its network.

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
        network = self._model_status(_network_of(self.model))
        return (network.versions or state.versions)[-1]

    def status(self) -> ServerStatus:
        """What ``recon-client status`` shows.

        Raises
        ------
        ServerError
            If no server answers.
        """
        try:
            ready = self._client.is_server_ready(client_timeout=QUESTION_TIMEOUT_S)
            metadata = self._client.get_server_metadata(client_timeout=QUESTION_TIMEOUT_S)
        except InferenceServerException as error:
            raise self._unreachable(error) from error
        names = dict.fromkeys([*(model.name for model in contract.MODELS), self.model])
        models = tuple(self._model_status(name) for name in names)
        return ServerStatus(self.address, ready, metadata.version, self.model, models)

    def _model_status(self, name: str) -> ModelStatus:
        try:
            ready = self._client.is_model_ready(name, client_timeout=QUESTION_TIMEOUT_S)
            if not ready:
                return ModelStatus(name, ready=False, versions=(), contract_version=None)
            metadata = self._client.get_model_metadata(name, client_timeout=QUESTION_TIMEOUT_S)
            answer = self._client.get_model_config(name, client_timeout=QUESTION_TIMEOUT_S)
        except InferenceServerException as error:
            raise self._unreachable(error) from error
        stated = answer.config.parameters
        version = (
            stated[contract.CONTRACT_PARAMETER].string_value
            if contract.CONTRACT_PARAMETER in stated
            else None
        )
        versions = tuple(sorted(metadata.versions, key=int))
        return ModelStatus(name, ready=True, versions=versions, contract_version=version)

    def _unreachable(self, error: InferenceServerException) -> ServerError:
        reason = _first_line(error.message())
        return ServerError(
            f"no Triton server answers at {self.address} ({reason}); start one with "
            "'recon-client serve', or leave out --server to use the embedded one"
        )


def _network_of(model: str) -> str:
    """Of an ensemble of ours the network is what is published anew, and so has the version."""
    return contract.ENSEMBLES[model].network.name if model in contract.ENSEMBLES else model


def _steps_of(model: str) -> tuple[contract.ModelSpec, ...]:
    return contract.ENSEMBLES[model].steps if model in contract.ENSEMBLES else ()


def _first_line(text: str | None) -> str:
    return ((text or "").strip().splitlines() or ["no reason given"])[0]
