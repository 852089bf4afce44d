"""The steps around the network, as the server runs them: ``normalize`` and the summations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smlm_pipeline import contract
from smlm_pipeline.compute import draw
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.contract import ModelSpec
from smlm_pipeline.errors import ContractError, DeviceError
from smlm_pipeline.model_repository import NETWORK_FILE
from smlm_pipeline.serving.device import VARIABLE, Placement, kernels_of_device
from smlm_pipeline.serving.metrics import DeviceMetrics
from smlm_pipeline.serving.respond import check_configuration, respond


class Normalization:
    """Frames, their levels and the film's mean -> what networks read.

    On a deployment that says ``gpu`` the frames cross the bus as they are, 16 bits a
    pixel, and what networks read is made and stays on the GPU.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``.
    args : mapping
        What Triton gives to ``initialize``.
    spec : ModelSpec
        The model.

    Raises
    ------
    ContractError
        If the configuration was written for another contract.
    DeviceError
        If the deployment says ``gpu`` and there is none.
    """

    def __init__(self, backend: Any, args: Mapping[str, str], spec: ModelSpec) -> None:
        check_configuration(json.loads(args["model_config"]), spec)
        self._backend, self._spec = backend, spec
        self._placement = Placement(backend, args)

    def respond(self, requests: Sequence[Any]) -> list[Any]:
        """One response per request."""
        return respond(
            self._backend, self._spec, requests, self._normalize, write=self._placement.write
        )

    def _normalize(self, frames: Any, levels: Any, mean: Any) -> list[Any]:
        frames_adu = self._placement.read(frames)
        levels_adu = self._placement.read_on_host(levels)
        mean_adu = self._placement.read_on_host(mean)
        if isinstance(frames_adu, np.ndarray) and not self._placement.demands_gpu:
            return [normalize(frames_adu, mean_adu, levels_adu)]
        with self._placement.device():
            return [kernels_of_device().normalize(frames_adu, mean_adu, levels_adu)]


class Summation:
    """What a network found in N frames -> one image, in host memory, and their number.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``.
    args : mapping
        What Triton gives to ``initialize``.
    spec : ModelSpec
        The model.
    kernel : str
        Name of the sum in `kernels` and `device_kernels`: ``draw`` or ``sum_map``.

    Raises
    ------
    ContractError
        If the configuration was written for another contract.
    DeviceError
        If the deployment says ``gpu`` and there is none.
    """

    def __init__(self, backend: Any, args: Mapping[str, str], spec: ModelSpec, kernel: str) -> None:
        check_configuration(json.loads(args["model_config"]), spec)
        self._backend, self._spec, self._kernel = backend, spec, kernel
        self._placement = Placement(backend, args)
        self._metrics = DeviceMetrics(backend, spec.name)

    def respond(self, requests: Sequence[Any]) -> list[Any]:
        """One response per request."""
        return respond(self._backend, self._spec, requests, self._sum, write=self._placement.write)

    def _sum(self, found: Any, window: Any) -> list[Any]:
        answers = self._placement.read(found)
        window = self._placement.read_on_host(window)
        on_host = isinstance(answers, np.ndarray)
        if on_host and self._placement.demands_gpu:
            self._metrics.host_inputs.increment(1)
            raise DeviceError(
                f"{found.name()} reached {self._spec.name!r} in host memory, but {VARIABLE} is "
                "'gpu': the server's CUDA pool was full, or the network ran on a CPU; start it "
                "with a larger --cuda-memory-pool-byte-size, or send fewer requests at once"
            )
        module = draw if on_host else kernels_of_device()
        image = getattr(module, self._kernel)(answers, window)
        if not on_host:
            self._metrics.bytes_to_host.increment(image.nbytes + module.FLAG_BYTES)
        return [image, np.array([len(answers)], np.int32)]


def load(args: Mapping[str, str]) -> tuple[ModelSpec, OnnxNetwork]:
    """The model and the network of the version that is served.

    It computes in as many threads as the configuration says.

    Parameters
    ----------
    args : mapping
        What Triton gives to ``initialize``.

    Raises
    ------
    ContractError
        If the configuration or the network was made for something else.
    """
    configuration = json.loads(args["model_config"])
    spec = contract.NETWORKS[configuration["name"]]
    check_configuration(configuration, spec)
    threads = int(configuration["parameters"]["intra_op_threads"]["string_value"])
    folder = Path(args["model_repository"]) / args["model_version"]
    network = OnnxNetwork(folder / NETWORK_FILE, intra_op_threads=threads)
    if network.answer != contract.ensemble_of(spec.name).answer:
        raise ContractError(
            f"the network of {spec.name!r} answers with {network.answer.name}; expected "
            f"{spec.outputs[0].name}: publish it as the other network of the repository"
        )
    return spec, network
